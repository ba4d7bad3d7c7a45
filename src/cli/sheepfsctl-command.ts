import type { ControlClient } from '../api/client.ts'
import { SheepfsError } from '../errors.ts'

/** An option of one command. */
export interface CommandOption {
  readonly type: 'string' | 'boolean'
  readonly multiple?: boolean
  /** What its value is called in the help; none for booleans. */
  readonly value?: string
  readonly help: string
}

/** One thing that sheepfsctl does. */
export interface Command {
  /** One or two words. */
  readonly name: string
  /** Positional arguments as the help shows them, `[…]` around those that may be left out. */
  readonly arguments: string
  readonly summary: string
  readonly options?: Readonly<Record<string, CommandOption>>
  /** How many arguments there may be. */
  readonly count: readonly [least: number, most: number]
  /** Resolves with the exit code. */
  run(call: Call): Promise<number>
}

export type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

export interface CallOptions {
  readonly variables: NodeJS.ProcessEnv
  readonly instance: string | undefined
  readonly client: ControlClient
  readonly args: readonly string[]
  readonly values: Values
  readonly write: (text: string) => void
  /** Shows how far a long operation is; nothing when nobody looks. */
  readonly showProgress: (text: string) => void
}

/** One command line, taken apart. */
export class Call {
  readonly variables: NodeJS.ProcessEnv
  readonly instance: string | undefined
  readonly client: ControlClient
  readonly args: readonly string[]
  readonly showProgress: (text: string) => void
  readonly #values: Values
  readonly #write: (text: string) => void

  constructor({ instance, variables, client, args, values, write, showProgress }: CallOptions) {
    this.instance = instance
    this.variables = variables
    this.client = client
    this.args = args
    this.showProgress = showProgress
    this.#values = values
    this.#write = write
  }

  get isJson(): boolean {
    return this.flag('json')
  }

  /** The argument at `index`; checked before `run` as far as `count` wants it. */
  argument(index: number): string {
    return this.args[index] ?? ''
  }

  text(option: string): string | undefined {
    const value = this.#values[option]
    return typeof value === 'string' ? value : undefined
  }

  flag(option: string): boolean {
    return this.#values[option] === true
  }

  list(option: string): string[] {
    const value = this.#values[option]
    return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
  }

  /** Reads `on` or `off`. Errors: invalid. */
  onOff(option: string): boolean | undefined {
    const value = this.text(option)
    if (value === undefined || value === 'on' || value === 'off')
      return value === undefined ? undefined : value === 'on'
    throw new SheepfsError('invalid', `--${option} "${value}": expected on or off`)
  }

  /** The mount named with --mount, or the only one. Errors: invalid when there are several, not-found when there is none. */
  async mount(): Promise<string> {
    const named = this.text('mount')
    if (named !== undefined) return named
    const names = (await this.client.mounts()).map(({ name }) => name)
    const [only, ...others] = names
    if (only === undefined) throw new SheepfsError('not-found', `instance ${this.instance ?? ''} has no mounts`)
    if (others.length === 0) return only
    throw new SheepfsError('invalid', `choose a mount with --mount, of ${names.join(', ')}`)
  }

  /** Prints `value` for programs, `text` for people. */
  print(value: unknown, text: () => string): void {
    this.#write(this.isJson ? `${JSON.stringify(value)}\n` : text())
  }
}
