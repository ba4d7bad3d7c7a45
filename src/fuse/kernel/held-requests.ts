import { SheepfsError } from '../../errors.ts'
import { deferred, type Deferred } from './deferred.ts'

/** How often it is looked who has waited for too long, ms. */
const LOOK_EVERY_MS = 100

/** Requests that came before the tree can be served: each waits for that, but no longer than `limitMs` says by then. */
export class HeldRequests {
  readonly #held = new Map<Deferred<undefined>, number>()
  readonly #limitMs: () => number
  readonly #timer: NodeJS.Timeout

  /** `limitMs`: how long a request may wait now, ms; Infinity: for ever. */
  constructor(limitMs: () => number) {
    this.#limitMs = limitMs
    this.#timer = setInterval(() => {
      this.#look()
    }, LOOK_EVERY_MS)
  }

  /** Resolves when the tree can be served. Errors: unreachable, when the request has waited for too long. */
  hold(): Promise<undefined> {
    const held = deferred<undefined>()
    this.#held.set(held, performance.now())
    return held.promise
  }

  /** The tree can be served. */
  release(): void {
    this.end()
    for (const { resolve } of this.#held.keys()) resolve(undefined)
  }

  /** Who waits is left to a successor. */
  end(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    const limitMs = this.#limitMs()
    for (const [held, since] of this.#held) {
      const waitedMs = performance.now() - since
      if (waitedMs < limitMs) return // they came in that order
      this.#held.delete(held)
      held.reject(new SheepfsError('unreachable', `no sheep has answered for ${Math.round(waitedMs / 1000)} s`))
    }
  }
}
