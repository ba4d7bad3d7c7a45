import { Command, CommanderError, Option } from 'commander'
import { SheepfsError } from './errors.ts'
import { nearestName } from './nearest-name.ts'
import { versionLine } from './program-version.ts'

/** An option as the help shows it: `-p, --port N`, `--wait`, or `--sheep ADDRESS...`, which may be repeated. */
export type OptionRow = readonly [flags: string, help: string]

/** Makes what commander knows of such a row. */
export function toOption([flags, help]: OptionRow): Option {
  const [, names = '', value, repeated] = /^(.*--[\w-]+)(?: (.+?)(\.{3})?)?$/.exec(flags) ?? []
  const option = new Option(value === undefined ? names : `${names} <${value}>`, help)
  const gather = (item: string, before: readonly string[] = []): readonly string[] => [...before, item]
  option.optional = false // whatever brackets the name of the value has
  return repeated === undefined ? option : option.argParser(gather)
}

/** Makes a program that writes nothing and ends nothing: `readCommandLine` does what it is for. */
export function newProgram(name: string, description: string, options: readonly OptionRow[] = []): Command {
  const program = new Command(name)
    .description(description)
    .exitOverride()
    .showSuggestionAfterError(false) // plainError has one for --optoin=value too
    .helpOption('-h, --help', 'print this and exit')
    .version(versionLine(name).trimEnd(), '--version', 'print the version and exit')
    .configureHelp({
      helpWidth: process.stdout.isTTY ? process.stdout.columns : Infinity,
      optionTerm: ({ flags, short }) => (short === undefined ? '    ' : '') + flags.replace(/[<>]/g, ''),
    })
  return addOptions(program, options)
}

/** Returns the command. */
export function addOptions(to: Command, rows: readonly OptionRow[]): Command {
  for (const row of rows) to.addOption(toOption(row))
  return to
}

/** What a command line says: a text to print, which is the help or the version, or values to act on. */
export type CommandLine =
  { readonly text: string; readonly values?: undefined } | { readonly text?: undefined; readonly values: OptionValues }

/**
 * Reads the arguments after the program's name; `explain` says what is wrong, in better words than commander has. Errors: what it
 * returns.
 */
export function readCommandLine(program: Command, args: readonly string[], explain = plainError): CommandLine {
  let text = ''
  const write = (part: string): void => {
    text += part
  }
  const silent = { writeOut: write, writeErr: write, outputError: () => undefined }
  for (const command of withSubcommands(program)) command.configureOutput(silent)
  try {
    program.parse(helpLast(args), { from: 'user' })
    return { values: new OptionValues(program) }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    const isBare = error.code === 'commander.help' && program.args.length === 0
    if (error.exitCode === 0 || isBare) return { text }
    throw explain(error, program)
  }
}

/** In commander's words, as one sentence, with the name of ours that an unknown option resembles. */
export function plainError(error: CommanderError, program: Command): SheepfsError {
  const sentence = error.message.replace(/^error: /, '').replace(/[<>]/g, '')
  const [, option] = /^unknown option '([^'=]+)/.exec(sentence) ?? []
  if (option === undefined) return new SheepfsError('invalid', sentence, { cause: error })
  const near = [[deepest(program)], withSubcommands(program)].map((at) => nearestName(option, at.flatMap(longOptions)))
  const advice = (near[0] ?? near[1]) === undefined ? '' : `; did you mean ${near[0] ?? near[1]}?`
  return new SheepfsError('invalid', `unknown option '${option}'${advice}`, { cause: error })
}

function longOptions({ options }: Command): string[] {
  return [...options.map(({ long }) => long ?? ''), '--help']
}

/** The command that a line which was read came to. */
export function deepest(at: Command): Command {
  const next = at.commands.find((command) => command.name() === at.args[0])
  return next ? deepest(next) : at
}

/** Commander shows the help of the command that stands before the wish for it. */
function helpLast(args: readonly string[]): string[] {
  const end = args.includes('--') ? args.indexOf('--') : args.length
  const isHelp = (arg: string, i: number): boolean => i < end && (arg === '-h' || arg === '--help')
  return args.some(isHelp) ? [...args.slice(0, end).filter((arg, i) => !isHelp(arg, i)), '--help'] : [...args]
}

/** The command and all below it, in their order. */
export function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)]
}

/** The options of a command line, by their long names. */
export class OptionValues {
  readonly #program: Command

  constructor(program: Command) {
    this.#program = program
  }

  /** The names of those that are given. */
  get names(): string[] {
    return this.#program.options.map((option) => option.name()).filter((name) => this.#value(name) !== undefined)
  }

  text(name: string): string | undefined {
    const value = this.#value(name)
    return typeof value === 'string' ? value : undefined
  }

  flag(name: string): boolean {
    return this.#value(name) === true
  }

  list(name: string): readonly string[] {
    const value = this.#value(name)
    return Array.isArray(value) ? (value as readonly string[]) : []
  }

  #value(name: string): unknown {
    const option = this.#program.options.find((known) => known.name() === name)
    return option && this.#program.getOptionValue(option.attributeName())
  }
}
