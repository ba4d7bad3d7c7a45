import { isBeingKilled } from './killed-process.ts'
import type { Request } from './operation.ts'

/** How often those who wait for long are looked at, ms. */
const LOOK_EVERY_MS = 400

/**
 * Requests that are being served. A killed process ends only when its requests are answered, so those of a process that is
 * being killed are given up: answered EINTR, as a hard NFS mount does. What they ask for goes on and may be done.
 *
 * The kernel tells of the first signal that reaches who waits for a request and of no other, and of none to who has many
 * under way at once (aio, docs/fuse-kernel-protocol.md#6): so requests that wait for long are looked at all the time.
 */
export class RequestsInFlight {
  /** With the round in which each came, in that order. */
  readonly #rounds = new Map<Request, number>()
  readonly #giveUp: (request: Request) => void
  /** One look after the other: each may hold a thread of the pool for as long as a process takes to end. */
  #looking: Promise<void> = Promise.resolve()
  #round = 0
  #isWatching = false

  /** `giveUp`: called once for each request that its requester does not wait for any more. */
  constructor(giveUp: (request: Request) => void) {
    this.#giveUp = giveUp
  }

  get count(): number {
    return this.#rounds.size
  }

  add(request: Request): void {
    this.#rounds.set(request, this.#round)
    if (!this.#isWatching) this.#watch()
  }

  delete(request: Request): void {
    this.#rounds.delete(request)
  }

  /** INTERRUPT: a signal has reached who waits for the request of this id. */
  interrupted(id: number): void {
    for (const request of this.#rounds.keys()) if (request.id === id) void this.#lookAt([request])
  }

  #watch(): void {
    this.#isWatching = true
    setTimeout(() => {
      void this.#lookAt(this.#old()).finally(() => {
        this.#isWatching = false
        if (this.#rounds.size > 0) this.#watch()
      })
    }, LOOK_EVERY_MS).unref()
  }

  /** What came before the last round. */
  #old(): Request[] {
    const old: Request[] = []
    for (const [request, round] of this.#rounds) {
      if (round === this.#round) break
      old.push(request)
    }
    this.#round++
    return old
  }

  #lookAt(requests: readonly Request[]): Promise<void> {
    this.#looking = this.#looking.then(() => this.#giveUpKilled(requests))
    return this.#looking
  }

  async #giveUpKilled(requests: readonly Request[]): Promise<void> {
    const verdicts = new Map<number, boolean>()
    for (const request of requests) {
      const { pid } = request
      if (pid === 0) continue // the kernel's own, or of a process that this one cannot see
      const isKilled = verdicts.get(pid) ?? (await isBeingKilled(pid))
      verdicts.set(pid, isKilled)
      if (!isKilled || request.isGivenUp || !this.#rounds.has(request)) continue
      request.isGivenUp = true
      this.#giveUp(request)
    }
  }
}
