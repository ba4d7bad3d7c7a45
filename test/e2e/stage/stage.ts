import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { end, start } from './program.ts'

/** What a test, the bench or the demo has set up, and how to take it down again: last first, all of it. */
export class Stage {
  readonly #undo: (() => unknown)[] = []
  readonly #ignoresTerminal: boolean

  /** @param options.ignoresTerminal Ctrl-C does not reach what is started, so that it can be taken down in order */
  constructor(options: { ignoresTerminal?: boolean } = {}) {
    this.#ignoresTerminal = options.ignoresTerminal ?? false
  }

  /** `undo` runs at `close`, before everything that was deferred earlier. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo)
  }

  /** A new empty directory, removed with what is in it. */
  async folder(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'sheepfs-'))
    this.defer(() => rm(path, { recursive: true, force: true }))
    return path
  }

  /** A new directory to mount on: what is mounted there is never deleted, should it stay mounted. */
  async mountpoint(): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), 'sheepfs-'))
    this.defer(() => rmdir(path))
    return path
  }

  /** Starts a program that stays until `close`; its output must be read. */
  start(program: string, args: readonly string[]): ChildProcess {
    const stdio = ['ignore', 'pipe', 'pipe'] as const
    const child = start(program, args, { stdio: [...stdio], detached: this.#ignoresTerminal })
    this.defer(() => end(child))
    return child
  }

  /** Takes everything down, whatever fails on the way. Errors: an AggregateError of what failed. */
  async close(): Promise<void> {
    const failures: unknown[] = []
    for (let undo = this.#undo.pop(); undo; undo = this.#undo.pop()) {
      try {
        await undo()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('; '))
  }
}
