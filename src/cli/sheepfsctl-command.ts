import type { ControlClient } from '../api/client.ts'
import { chooseMount } from '../api/default-mount.ts'
import type { OptionRow, OptionValues } from '../command-line.ts'
import { SheepfsError } from '../errors.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import type { Screen } from './screen.ts'

/** One thing that sheepfsctl does. */
export interface Command {
  /** One or two words. */
  readonly name: string
  /** Positional arguments as the help shows them: `[…]` around one that may be left out, `...` after one that may be repeated. */
  readonly arguments: string
  readonly summary: string
  readonly options?: readonly OptionRow[]
  /** It is not about a mount, or names it as an argument: --mount is refused. */
  readonly hasNoMount?: true
  /** It only looks, for as long as one likes: that mounts wait is not what it waits for. */
  readonly watches?: true
  /** Resolves with the exit code. */
  run(call: Call): Promise<number>
}

export interface CallOptions {
  readonly variables: NodeJS.ProcessEnv
  readonly instance: string | undefined
  readonly client: ControlClient
  readonly args: readonly string[]
  readonly values: OptionValues
  readonly write: (text: string) => void
  /** undefined: `write` writes to no terminal. */
  readonly screen: Screen | undefined
  /** Says what has failed, where the command goes on. */
  readonly complain: (error: unknown) => void
  /** Shows how far a long operation is; nothing when nobody looks. */
  readonly showProgress: (text: string) => void
}

/** The next would only wait as long. */
const NO_ANSWER: ReadonlySet<number> = new Set([EXIT.unreachable, EXIT.notRunning])

/** One command line, taken apart. */
export class Call {
  readonly variables: NodeJS.ProcessEnv
  readonly instance: string | undefined
  readonly client: ControlClient
  readonly args: readonly string[]
  readonly showProgress: (text: string) => void
  readonly #complain: (error: unknown) => void
  readonly #values: OptionValues
  readonly #write: (text: string) => void
  readonly #screen: Screen | undefined

  constructor({ instance, variables, client, args, values, write, screen, complain, showProgress }: CallOptions) {
    this.instance = instance
    this.variables = variables
    this.client = client
    this.args = args
    this.showProgress = showProgress
    this.#values = values
    this.#write = write
    this.#screen = screen
    this.#complain = complain
  }

  get isJson(): boolean {
    return this.flag('json')
  }

  /** The argument at `index`; checked before `run` as far as `arguments` wants it. */
  argument(index: number): string {
    return this.args[index] ?? ''
  }

  text(option: string): string | undefined {
    return this.#values.text(option)
  }

  flag(option: string): boolean {
    return this.#values.flag(option)
  }

  list(option: string): string[] {
    return [...this.#values.list(option)]
  }

  /** Reads `on` or `off`. Errors: invalid. */
  onOff(option: string): boolean | undefined {
    const value = this.text(option)
    if (value === undefined || value === 'on' || value === 'off')
      return value === undefined ? undefined : value === 'on'
    throw new SheepfsError('invalid', `--${option} "${value}": expected on or off`)
  }

  /** The mount that is meant. Errors: as `chooseMount`. */
  async mount(): Promise<string> {
    const [named, instance = ''] = [this.text('mount'), this.instance]
    if (named !== undefined) return named // the daemon knows whether it is there
    return chooseMount(await this.client.mounts(), { instance, named, how: '--mount' }).name
  }

  /** All of these, or the one that --mount names. Errors: not-found. */
  chosen<M extends { readonly name: string }>(mounts: readonly M[]): readonly M[] {
    const [named, instance = ''] = [this.text('mount'), this.instance]
    return named === undefined ? mounts : [chooseMount(mounts, { instance, named, how: '--mount' })]
  }

  /**
   * Does it for every argument, also after one has failed, as long as somebody answers. Resolves with the exit code of the
   * first failure.
   */
  async forEach(act: (argument: string) => Promise<void>): Promise<number> {
    const codes: number[] = []
    for (const argument of this.args) {
      try {
        await act(argument)
      } catch (error) {
        if (this.args.length === 1) throw error
        this.#complain(error)
        codes.push(exitCodeOf(error))
        if (NO_ANSWER.has(exitCodeOf(error))) break
      }
    }
    return codes[0] ?? EXIT.done
  }

  /** Prints `value` for programs, `text` for people: on a terminal in place of what was shown before. */
  show(value: unknown, text: () => string): void {
    if (this.isJson || !this.#screen) this.print(value, text)
    else this.#screen.fill(text())
  }

  /** Prints `value` for programs, `text` for people. */
  print(value: unknown, text: () => string): void {
    this.#write(this.isJson ? `${JSON.stringify(value)}\n` : text())
  }
}
