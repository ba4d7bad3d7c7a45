import { nearestName } from '../api/nearest-name.ts'
import { countText } from '../count-text.ts'
import { errorText, SheepfsError } from '../errors.ts'
import { EXIT, EXIT_TEXT } from './exit-code.ts'
import { parseOptions } from './parse-options.ts'
import type { Command, CommandOption, Values } from './sheepfsctl-command.ts'
import { DEVICE_COMMANDS } from './sheepfsctl-device.ts'
import { LOOK_COMMANDS } from './sheepfsctl-look.ts'
import { MOUNT_COMMANDS } from './sheepfsctl-mount.ts'
import { VDI_COMMANDS } from './sheepfsctl-vdi.ts'

/** Everything that sheepfsctl does. */
export const COMMANDS: readonly Command[] = [...LOOK_COMMANDS, ...MOUNT_COMMANDS, ...DEVICE_COMMANDS, ...VDI_COMMANDS]

const GENERAL: Readonly<Record<string, CommandOption & { readonly short?: string }>> = {
  instance: { type: 'string', short: 'i', value: 'NAME', help: 'the instance (default: the only one running)' },
  mount: { type: 'string', short: 'm', value: 'NAME', help: 'the mount (default: the only one of the instance)' },
  wait: { type: 'boolean', help: 'wait for a cluster that does not answer as long as it takes (default: 30 s)' },
  json: { type: 'boolean', help: 'print JSON for programs' },
  help: { type: 'boolean', short: 'h', help: 'print help, of the command if there is one' },
  version: { type: 'boolean', help: 'print the version' },
}

/** A command line of sheepfsctl, taken apart. */
export type CommandLine =
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'command'; readonly command: Command; readonly args: readonly string[]; readonly values: Values }

/** Reads the arguments after the program's name. Errors: invalid. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args)
  if (values['version'] === true) return { kind: 'version' }
  const isVerb = positionals[0] === 'help'
  if (isVerb || values['help'] === true || positionals.length === 0) {
    return { kind: 'help', text: helpFor(isVerb ? positionals.slice(1) : positionals) }
  }
  const command = findCommand(positionals)
  checkOptions(command, values)
  const rest = positionals.slice(command.name.split(' ').length)
  const [least, most] = command.count
  if (rest.length < least || rest.length > most) {
    const wanted = command.arguments === '' ? 'no arguments' : command.arguments
    const found = countText(rest.length, 'argument')
    throw new SheepfsError('invalid', `${command.name}: found ${found}, expected ${wanted}`)
  }
  return { kind: 'command', command, args: rest, values }
}

/** What one looks for, and no sheep can do (docs/operations.md). */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  'vdi rename': 'sheep cannot rename a VDI: make a snapshot of it, and a clone of the snapshot with the other name',
}

function findCommand(words: readonly string[]): Command {
  const [first = '', second] = words
  const found = COMMANDS.find(({ name }) => name === first || name === `${first} ${second ?? ''}`)
  if (found) return found
  const impossible = IMPOSSIBLE[`${first} ${second ?? ''}`]
  if (impossible !== undefined) throw new SheepfsError('not-supported', `${first} ${second ?? ''}: ${impossible}`)
  const family = familyOf(first).map(({ name }) => name)
  if (family.length > 0) {
    const near = nearestName(`${first} ${second ?? ''}`, second === undefined ? [] : family)
    const advice = near === undefined ? '' : `; did you mean ${near}?`
    throw new SheepfsError('invalid', `${first}: expected ${family.join(', ')}${advice}`)
  }
  const nearest = nearestName(
    first,
    COMMANDS.map(({ name }) => name.split(' ')[0] ?? ''),
  )
  const advice = nearest === undefined ? 'sheepfsctl --help lists all' : `did you mean ${nearest}?`
  throw new SheepfsError('invalid', `unknown command "${first}": ${advice}`)
}

/** The commands of two words that begin with this one. */
function familyOf(first: string): Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${first} `))
}

/** Names of the options that a command has. */
export function optionsOf({ hasNoMount, options = {} }: Command): string[] {
  return [...Object.keys(GENERAL).filter((name) => hasNoMount !== true || name !== 'mount'), ...Object.keys(options)]
}

/** The options of all commands are known to each; here is which of them belong to this one. */
function checkOptions(command: Command, values: Values): void {
  const known = optionsOf(command)
  const wrong = Object.keys(values).find((name) => !known.includes(name))
  if (wrong === undefined) return
  const expected = `expected --${known.join(', --')}`
  throw new SheepfsError('invalid', `${command.name} has no option --${wrong}: ${expected}${adviceFor(wrong, known)}`)
}

function adviceFor(option: string, known: readonly string[]): string {
  const near = nearestName(option, known)
  return near === undefined ? '' : `; did you mean --${near}?`
}

function parse(args: readonly string[]): { values: Values; positionals: string[] } {
  const all = Object.assign({}, ...COMMANDS.map(({ options }) => options ?? {}), GENERAL) as typeof GENERAL
  const options = Object.fromEntries(
    Object.entries(all).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short !== undefined && { short }) },
    ]),
  )
  try {
    return parseOptions(args, options)
  } catch (error) {
    const [, unknown] = /^unknown option '--([^'=]+)/.exec(errorText(error)) ?? []
    if (unknown === undefined) throw error
    throw new SheepfsError('invalid', errorText(error) + adviceFor(unknown, Object.keys(options)), { cause: error })
  }
}

/** Of everything, of the commands that begin with a word, or of one. */
function helpFor(words: readonly string[]): string {
  const [first, second] = words
  if (first === undefined) return helpText()
  const family = familyOf(first)
  const isGroup = family.length > 0 && !family.some(({ name }) => name === `${first} ${second ?? ''}`)
  if (!isGroup) return commandHelp(findCommand(words))
  const group = COMMANDS.filter((command) => command.name === first || family.includes(command))
  return [`Usage: sheepfsctl [OPTION]... ${first} ...`, ...commandLines(group), '', ...optionLines(GENERAL), ''].join(
    '\n',
  )
}

function commandLines(commands: readonly Command[]): string[] {
  const width = Math.max(...commands.map((command) => usageOf(command).length))
  return commands.map((command) => `  ${usageOf(command).padEnd(width)}  ${command.summary}`)
}

function helpText(): string {
  const names = Object.keys(EXIT) as (keyof typeof EXIT)[]
  const codes = names.map((name) => `  ${EXIT[name]}  ${EXIT_TEXT[name]}`)
  return [
    'Usage: sheepfsctl [OPTION]... COMMAND [ARGUMENT]...',
    'Drives a running sheepfsd.',
    '',
    ...commandLines(COMMANDS),
    '  help [COMMAND]: the same as COMMAND --help',
    '',
    ...optionLines(GENERAL),
    '',
    'Environment: SHEEPFS_INSTANCE, SHEEPFS_RUNTIME_DIR (default /run/sheepfs)',
    '',
    'Exit codes:',
    ...codes,
    '',
  ].join('\n')
}

function commandHelp(command: Command): string {
  const { summary, options } = command
  const own = options === undefined ? [] : ['', ...optionLines(options)]
  const head = [
    `Usage: sheepfsctl [OPTION]... ${usageOf(command)}`,
    `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
  ]
  return [...head, ...own, '', ...optionLines(GENERAL), ''].join('\n')
}

function usageOf({ name, arguments: args }: Command): string {
  return args === '' ? name : `${name} ${args}`
}

function optionLines(options: Readonly<Record<string, CommandOption & { readonly short?: string }>>): string[] {
  const entries = Object.entries(options).map(([name, { short, value, help }]) => {
    const lead = short === undefined ? '    ' : `-${short}, `
    return { text: `${lead}--${name}${value === undefined ? '' : ` ${value}`}`, help }
  })
  const width = Math.max(...entries.map(({ text }) => text.length))
  return entries.map(({ text, help }) => `  ${text.padEnd(width)}  ${help}`)
}
