import type { Command as Program, CommanderError } from 'commander'
import { nearestName } from '../nearest-name.ts'
import { deepest, plainError, readCommandLine, type OptionValues } from '../command-line.ts'
import { countText } from '../count-text.ts'
import { SheepfsError } from '../errors.ts'
import type { Command } from './sheepfsctl-command.ts'
import { argumentText, COMMANDS, isGroup, pathOf, sheepfsctlProgram, subcommand } from './sheepfsctl-program.ts'

/** A command line of sheepfsctl, taken apart. */
export type SheepfsctlLine =
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'command'
      readonly command: Command
      readonly args: readonly string[]
      readonly values: OptionValues
    }

/** Reads the arguments after the program's name. Errors: invalid, not-supported. */
export function parseCommandLine(args: readonly string[]): SheepfsctlLine {
  const program = sheepfsctlProgram()
  const line = readCommandLine(program, args, explain)
  if (line.text !== undefined) return { kind: 'text', text: line.text }
  const at = deepest(program)
  const command = COMMANDS.find(({ name }) => name === pathOf(at).join(' '))
  // all others have an entry there, but for help
  if (!command) return parseCommandLine([...pathOf(commandAt(program, at.args)), '--help'])
  checkOptions(at, line.values)
  return { kind: 'command', command, args: at.args, values: line.values }
}

/** The command that these words begin with. Errors: as of a command line with an unknown command. */
function commandAt(at: Program, [word, ...words]: readonly string[]): Program {
  const next = subcommand(at, word)
  if (next) return commandAt(next, words)
  if (word === undefined || !isGroup(at)) return at
  throw unknownCommand(at, word)
}

/** What one looks for, and no sheep can do (docs/operations.md). */
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  'vdi rename': 'sheep cannot rename a VDI: make a snapshot of it, and a clone of the snapshot with the other name',
}

function unknownCommand(at: Program, word: string): SheepfsError {
  const name = [...pathOf(at), word].join(' ')
  const impossible = IMPOSSIBLE[name]
  if (impossible !== undefined) return new SheepfsError('not-supported', `${name}: ${impossible}`)
  const known = at.commands.map((command) => pathOf(command).join(' '))
  const near = nearestName(name, known)
  if (at.parent) {
    const advice = near === undefined ? '' : `; did you mean ${near}?`
    return new SheepfsError('invalid', `${at.name()}: expected ${known.join(', ')}${advice}`)
  }
  const advice = near === undefined ? 'sheepfsctl --help lists all' : `did you mean ${near}?`
  return new SheepfsError('invalid', `unknown command "${name}": ${advice}`)
}

/** In words that tell what the command would take. */
function explain(error: CommanderError, program: Program): SheepfsError {
  const at = deepest(program)
  const [word = ''] = at.args
  switch (error.code) {
    case 'commander.unknownCommand':
      return unknownCommand(at, word)
    case 'commander.help':
      return new SheepfsError(
        'invalid',
        `${at.name()}: expected ${at.commands.map((c) => pathOf(c).join(' ')).join(', ')}`,
      )
    case 'commander.missingArgument':
    case 'commander.excessArguments': {
      const wanted = at.registeredArguments.map(argumentText).join(' ') || 'no arguments'
      const found = countText(at.args.length, 'argument')
      return new SheepfsError('invalid', `${pathOf(at).join(' ')}: found ${found}, expected ${wanted}`)
    }
    default:
      return plainError(error, program)
  }
}

/** Names of the options that a command has, those of all commands first. */
function optionsOf({ options }: Program): string[] {
  const own = options.filter(({ helpGroupHeading }) => helpGroupHeading === undefined)
  const general = options.filter((option) => !own.includes(option))
  return [...[...general, ...own].map((option) => option.name()), 'help', 'version']
}

function checkOptions(at: Program, values: OptionValues): void {
  const known = optionsOf(at)
  const wrong = values.names.find((name) => !known.includes(name))
  if (wrong === undefined) return
  const near = nearestName(wrong, known)
  const advice = near === undefined ? '' : `; did you mean --${near}?`
  const expected = `expected --${known.join(', --')}`
  throw new SheepfsError('invalid', `${pathOf(at).join(' ')} has no option --${wrong}: ${expected}${advice}`)
}
