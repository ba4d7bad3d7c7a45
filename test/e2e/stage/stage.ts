import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a test, the bench or the demo has set up, and how to take it down again: last first, all of it. */
export class Stage {
  readonly #undo: (() => unknown)[] = []

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
