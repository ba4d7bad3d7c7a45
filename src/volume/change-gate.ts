/**
 * Lets through what changes a VDI, any number at a time, and none while the volume goes over to another inode; that begins
 * when those under way have ended.
 */
export class ChangeGate {
  #passing = 0
  #onPassed: (() => void) | undefined
  #closed: Promise<void> | undefined

  /** Sends a change when the gate is open, unless it is not to be sent any more by then: undefined. */
  async pass<T>(isWanted: () => boolean, send: () => Promise<T>): Promise<T | undefined> {
    while (this.#closed) await this.#closed
    if (!isWanted()) return undefined
    this.#passing++
    try {
      return await send()
    } finally {
      this.#passing--
      if (this.#passing === 0) this.#onPassed?.()
    }
  }

  /** The work that keeps the gate closed; undefined while it is open. */
  get closedFor(): Promise<void> | undefined {
    return this.#closed
  }

  /** Keeps the gate closed for `work`, which begins when nothing passes any more. Not while it is closed. */
  close(work: () => Promise<void>): Promise<void> {
    this.#closed = this.#drained()
      .then(work)
      .finally(() => {
        this.#closed = undefined
      })
    return this.#closed
  }

  async #drained(): Promise<void> {
    if (this.#passing === 0) return
    await new Promise<void>((resolve) => {
      this.#onPassed = resolve
    })
    this.#onPassed = undefined
  }
}
