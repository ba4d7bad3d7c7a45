/** A VDI lock, as the cluster has it: of a vid, for the sheep (`host:port`) through which it was taken. */
export interface BookedLock {
  readonly vid: number
  readonly owner: string
}

/**
 * The VDI locks that this client may hold: noted before one is asked for, struck when it was given back or refused. What is
 * in it when a process dies is for its successor to take over, or to give back.
 */
export class LockBook {
  readonly #owners = new Map<number, string>()
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get all(): readonly BookedLock[] {
    return Array.from(this.#owners, ([vid, owner]) => ({ vid, owner }))
  }

  has(vid: number): boolean {
    return this.#owners.has(vid)
  }

  note({ vid, owner }: BookedLock): void {
    if (this.#owners.get(vid) === owner) return
    this.#owners.set(vid, owner)
    this.#onChange()
  }

  /** None of them can be held any more. */
  clear(): void {
    if (this.#owners.size === 0) return
    this.#owners.clear()
    this.#onChange()
  }

  strike(vid: number): void {
    if (this.#owners.delete(vid)) this.#onChange()
  }
}
