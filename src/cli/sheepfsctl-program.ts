import type { Argument, Command as Program } from 'commander'
import { addOptions, newProgram, toOption, withSubcommands, type OptionRow } from '../command-line.ts'
import { EXIT, EXIT_TEXT } from './exit-code.ts'
import type { Command } from './sheepfsctl-command.ts'
import { DEVICE_COMMANDS } from './sheepfsctl-device.ts'
import { LOOK_COMMANDS } from './sheepfsctl-look.ts'
import { MOUNT_COMMANDS } from './sheepfsctl-mount.ts'
import { VDI_COMMANDS } from './sheepfsctl-vdi.ts'

const GROUPS: Readonly<Record<string, readonly Command[]>> = {
  'Looking:': LOOK_COMMANDS,
  'Mounts and their volumes:': MOUNT_COMMANDS,
  'Block devices:': DEVICE_COMMANDS,
  'The cluster, its VDIs and snapshots:': VDI_COMMANDS,
}

/** Everything that sheepfsctl does. */
export const COMMANDS: readonly Command[] = Object.values(GROUPS).flat()

const MOUNT: OptionRow = ['-m, --mount MOUNT', 'the mount (default: the only one of the instance)']
const GENERAL: readonly OptionRow[] = [
  ['-i, --instance INSTANCE', 'the instance (default: the only one running)'],
  MOUNT,
  ['--wait', 'wait for a cluster that does not answer as long as it takes (default: 30 s)'],
  ['--json', 'print JSON for programs'],
]

/** The program as commander reads it. Its actions do nothing: what was read is acted on afterwards. */
export function sheepfsctlProgram(): Program {
  const program = newProgram('sheepfsctl', 'Drives a running sheepfsd.', GENERAL).helpCommand(false)
  program.configureHelp({
    ...program.configureHelp(),
    commandUsage: (at) => `sheepfsctl [OPTION]... ${usageOf(at)}`,
    commandDescription: sentenceOf,
    subcommandTerm: usageOf,
    visibleCommands: (at) => withSubcommands(at).filter((command) => command !== at && !isGroup(command)),
  })
  program.addHelpText('after', `\n${afterHelp()}`)
  // an option may stand before its command too: the program takes all of them, and checkOptions looks up whose they are
  const own = new Map(COMMANDS.flatMap(({ options = [] }) => options).map((row) => [row[0], row]))
  for (const row of own.values()) program.addOption(toOption(row).hideHelp())
  for (const [title, commands] of Object.entries(GROUPS)) {
    for (const command of commands) addCommand(program, command).helpGroup(title).action(nothing)
  }
  program
    .command('help')
    .argument('[COMMAND...]')
    .description('the same as COMMAND --help')
    .helpGroup('Help:')
    .action(nothing)
  return program
}

const nothing = (): void => undefined

function addCommand(program: Program, { name, summary, hasNoMount, options = [], ...command }: Command): Program {
  const words = name.split(' ')
  const last = words.pop() ?? ''
  const group = words.reduce((at, word) => subcommand(at, word) ?? addGeneral(at.command(word), GENERAL), program)
  const added = group.command(last).description(summary)
  if (command.arguments !== '') added.arguments(command.arguments)
  addOptions(added, options)
  return addGeneral(added, hasNoMount === true ? GENERAL.filter((row) => row !== MOUNT) : GENERAL)
}

function addGeneral(to: Program, rows: readonly OptionRow[]): Program {
  return addOptions(to.optionsGroup('General options:'), rows)
}

/** The command of that name right below. */
export function subcommand(at: Program, word: string | undefined): Program | undefined {
  return at.commands.find((command) => command.name() === word)
}

/** It does nothing itself. */
export function isGroup({ commands, registeredArguments }: Program): boolean {
  return commands.length > 0 && registeredArguments.length === 0
}

/** The words of a command, without the program's name. */
export function pathOf(at: Program): string[] {
  return at.parent ? [...pathOf(at.parent), at.name()] : []
}

function usageOf(at: Program): string {
  const rest = at.parent ? ['COMMAND'] : ['COMMAND', '[ARGUMENT]...']
  const args = isGroup(at) ? rest : at.registeredArguments.map(argumentText)
  return [...pathOf(at), ...args].join(' ')
}

function sentenceOf(at: Program): string {
  const text = at.description()
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1).replace(/\.$/, '')}.`
}

/** As the help shows it. */
export function argumentText(argument: Argument): string {
  const text = `${argument.name()}${argument.variadic ? '...' : ''}`
  return argument.required ? text : `[${text}]`
}

function afterHelp(): string {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[]
  return [
    'Environment: SHEEPFS_INSTANCE, SHEEPFS_RUNTIME_DIR (default /run/sheepfs)',
    '',
    'Exit codes:',
    ...names.map((name) => `  ${EXIT[name]}  ${EXIT_TEXT[name]}`),
  ].join('\n')
}
