import type { WorkerMethods } from '../worker-protocol.ts'
import type { WorkerClient } from './worker-client.ts'

/** Whoever asks waits no longer for what a worker answers at once, ms. */
const LIMIT_MS = 2000

/** Why requests wait, or seem to. */
export interface Waiting {
  /** Ms since 1970. */
  readonly sinceMs: number
  readonly reason: string
}

type Method = 'report' | 'metrics' | 'volumeMetrics'
type Answer<M extends Method> = Awaited<ReturnType<WorkerMethods[M]>>

interface Asked<T> {
  readonly worker: WorkerClient
  /** undefined: there was none in time. */
  readonly answer: Promise<T | undefined>
  silence?: Waiting
}

/**
 * What is asked of the workers of a mount at any time, by anybody: all who ask before the answer wait for the same one, and a
 * worker that gives none holds up nobody.
 */
export class WorkerQuestion<M extends Method> {
  readonly #method: M
  readonly #onSilence: () => void
  #asked: Asked<Answer<M>> | undefined

  /** `onSilence`: a worker is late with its answer, or has given it after all. */
  constructor(method: M, onSilence: () => void) {
    this.#method = method
    this.#onSilence = onSilence
  }

  /** Of the worker that was asked last: it is late with its answer. */
  get silence(): Waiting | undefined {
    return this.#asked?.silence
  }

  /** undefined: the worker does not answer, or has ended. */
  async ask(worker: WorkerClient): Promise<Answer<M> | undefined> {
    if (this.#asked?.worker !== worker) this.#begin(worker)
    return this.#asked?.answer
  }

  #begin(worker: WorkerClient): void {
    const answer = (worker.call<Method>(this.#method) as Promise<Answer<M>>).catch(() => undefined)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => {
        resolve(undefined)
        asked.silence = { sinceMs: Date.now() - LIMIT_MS, reason: `its worker does not answer (${this.#method})` }
        if (this.#asked === asked) this.#onSilence()
      }, LIMIT_MS)
    })
    const asked: Asked<Answer<M>> = { worker, answer: Promise.race([answer, late]) }
    this.#asked = asked
    void answer.then(() => {
      clearTimeout(timer)
      if (this.#asked !== asked) return
      this.#asked = undefined
      if (asked.silence) this.#onSilence()
    })
  }
}
