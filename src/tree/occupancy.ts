import type { Clock } from '../clock.ts'

/** How many are inside, and a way to wait until nobody is. */
export class Occupancy {
  readonly #clock: Clock
  readonly #waiters = new Set<(isEmpty: boolean) => void>()
  #count = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

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
        timer?.cancel()
        this.#waiters.delete(settle)
        resolve(isEmpty)
      }
      const giveUp = (): void => {
        settle(false)
      }
      const timer = limitMs === Infinity ? undefined : this.#clock.after(limitMs, giveUp)
      this.#waiters.add(settle)
    })
  }
}
