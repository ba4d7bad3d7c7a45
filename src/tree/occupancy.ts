/** How many are inside, and a way to wait until nobody is. */
export class Occupancy {
  readonly #waiters = new Set<(isEmpty: boolean) => void>()
  #count = 0

  get count(): number {
    return this.#count
  }

  enter(): void {
    this.#count++
  }

  leave(): void {
    this.#count--
    if (this.#count === 0) for (const settle of this.#waiters) settle(true)
  }

  /** Resolves with true when nobody is inside, with false after `limitMs`. */
  async whenEmpty(limitMs = Infinity): Promise<boolean> {
    if (this.#count === 0) return true
    return new Promise((resolve) => {
      const settle = (isEmpty: boolean): void => {
        clearTimeout(timer)
        this.#waiters.delete(settle)
        resolve(isEmpty)
      }
      const timer = limitMs === Infinity ? undefined : setTimeout(settle, limitMs, false)
      this.#waiters.add(settle)
    })
  }
}
