import type { WorkerClient } from './worker-client.ts'

const INTERVAL_MS = 2000
/** A worker that does not answer a ping within this time is stuck: a ping needs no cluster. */
const LIMIT_MS = 10_000

/** Asks a worker again and again whether it still answers. */
export class WorkerPulse {
  readonly #onStuck: (worker: WorkerClient, silentMs: number) => void
  #worker: WorkerClient | undefined
  #timer: NodeJS.Timeout | undefined
  #lastPong = 0
  #lastBeat = 0
  #askedAt: number | undefined

  /** `onStuck`: once for each LIMIT_MS that a worker does not answer. */
  constructor(onStuck: (worker: WorkerClient, silentMs: number) => void) {
    this.#onStuck = onStuck
  }

  /** False when the worker has not given a sign of life for too long, and nobody has done anything about it. */
  get isAlive(): boolean {
    return performance.now() - this.#lastPong < LIMIT_MS + 2 * INTERVAL_MS
  }

  /** Watches this worker, and the one before no more. */
  start(worker: WorkerClient): void {
    this.stop()
    this.#worker = worker
    this.#lastPong = this.#lastBeat = performance.now()
    this.#timer = setInterval(() => {
      this.#beat(worker)
    }, INTERVAL_MS)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#worker = undefined
    this.#askedAt = undefined
  }

  #beat(worker: WorkerClient): void {
    const now = performance.now()
    const wasAway = now - this.#lastBeat > 2 * INTERVAL_MS
    this.#lastBeat = now
    if (this.#askedAt === undefined) this.#ask(worker, now)
    else if (wasAway)
      this.#askedAt = now // it is this process that stood still: the answer may have come meanwhile
    else if (now - this.#askedAt > LIMIT_MS) {
      this.#askedAt = undefined
      this.#onStuck(worker, LIMIT_MS)
    }
  }

  #ask(worker: WorkerClient, askedAt: number): void {
    this.#askedAt = askedAt
    const onPong = (): void => {
      if (worker !== this.#worker) return
      this.#askedAt = undefined
      this.#lastPong = performance.now()
    }
    worker.call('ping').then(onPong, onPong)
  }
}
