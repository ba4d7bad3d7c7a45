import { errorText } from '../../errors.ts'

/** What has been done so far, and how to take it back when something later fails. */
export class UndoList {
  readonly #steps: (() => Promise<void>)[] = []

  /** `undo` runs before everything that was added earlier. */
  add(undo: () => Promise<void>): void {
    this.#steps.push(undo)
  }

  /** Takes everything back, whatever fails on the way; resolves with what failed, for a message. */
  async undoAll(): Promise<readonly string[]> {
    const failures: string[] = []
    for (let undo = this.#steps.pop(); undo; undo = this.#steps.pop()) {
      await undo().catch((error: unknown) => failures.push(errorText(error)))
    }
    return failures
  }
}
