import type { Socket } from 'node:net'

/** Lets so many through in a second, one after the other when there are more; who has gone takes no turn. */
export class Pace {
  readonly #perSecond: number
  readonly #waiting: { readonly socket: Socket; readonly go: () => void }[] = []
  /** Turns that may be taken at once: those of the last second. */
  #left: number
  #countedAt = performance.now()
  #timer: NodeJS.Timeout | undefined

  constructor(perSecond: number) {
    this.#perSecond = perSecond
    this.#left = perSecond
  }

  /** Resolves when it is the turn of this client, or he has gone. */
  async turn(socket: Socket): Promise<void> {
    if (this.#perSecond === Infinity) return
    await new Promise<void>((go) => {
      this.#waiting.push({ socket, go })
      this.#next()
    })
  }

  #next(): void {
    const now = performance.now()
    this.#left = Math.min(this.#perSecond, this.#left + ((now - this.#countedAt) / 1000) * this.#perSecond)
    this.#countedAt = now
    while (this.#waiting.length > 0 && this.#left >= 1) {
      const first = this.#waiting.shift()
      if (first?.socket.destroyed === false) this.#left--
      first?.go()
    }
    if (this.#waiting.length === 0 || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#next()
    }, 1000 / this.#perSecond)
  }
}
