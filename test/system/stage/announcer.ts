import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { textOf } from '../../e2e/stage/program.ts'

/** A process that says what it has come to. */
export class Announcer {
  readonly process: ChildProcess
  readonly #ended: Promise<true>
  readonly #said: () => string
  readonly #complained: () => string

  constructor(process: ChildProcess) {
    this.process = process
    this.#ended = once(process, 'close').then(() => true)
    this.#ended.catch(() => undefined) // who asks for a word hears of it
    this.#said = textOf(process.stdout)
    this.#complained = textOf(process.stderr)
  }

  /** Resolves with the first group of `pattern` once that has been printed. Errors: the process ends without. */
  async said(pattern: RegExp): Promise<string> {
    for (;;) {
      const [, found] = pattern.exec(this.#said()) ?? []
      if (found !== undefined) return found
      const heard = this.process.stdout && once(this.process.stdout, 'data')
      const isOver = await Promise.race([this.#ended, heard?.then(() => false)])
      if (isOver !== false) throw new Error(`ended without a word of ${pattern.source}: ${this.#complained()}`)
    }
  }
}
