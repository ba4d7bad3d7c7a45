/** Lets what concerns one name happen one after the other, in the order it was asked for. */
export class Turns {
  /** By name, the last that was begun; it never rejects. */
  readonly #last = new Map<string, Promise<unknown>>()

  /** Errors: those of `work`. */
  take<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#last.get(name) ?? Promise.resolve()).then(work)
    const over = turn.catch(() => undefined)
    this.#last.set(name, over)
    void over.then(() => {
      if (this.#last.get(name) === over) this.#last.delete(name)
    })
    return turn
  }
}
