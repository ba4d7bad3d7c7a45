import type { Clock, Timer } from '../clock.ts'
import { SheepfsError } from '../errors.ts'

/** How long somebody who asks for something waits for a cluster that does not answer, ms; others may wait for ever. */
export const WAIT_LIMIT_MS = 30_000

export interface WaiterOptions {
  readonly clock: Clock
  /** Longest time without an answer, ms; Infinity: for ever. */
  readonly limitMs: number
  /** The same before the first answer, when some of it has passed already. */
  readonly firstLimitMs?: number
  /** Aborts when nobody wants the outcome any more. */
  readonly gone?: AbortSignal | undefined
  /** Others, who wait for what this one waits for. */
  readonly others?: Iterable<Waiter>
}

/**
 * Somebody who waits for what a cluster is asked: until he goes, or the cluster has not answered for too long. Nothing is
 * sent for him from then on. `end` has to be called when he has what he wants.
 */
export class Waiter {
  readonly #controller = new AbortController()
  readonly #clock: Clock
  readonly #gone: AbortSignal | undefined
  readonly #others: Iterable<Waiter>
  readonly #onGone = (): void => {
    if (this.#isHeld) this.#limit(WAIT_LIMIT_MS)
    else this.giveUp(new SheepfsError('closed', 'whoever asked for it has gone'))
  }
  #limitMs: number
  #timer: Timer | undefined
  #isHeld = false
  #failure: SheepfsError | undefined

  constructor({ clock, limitMs, firstLimitMs = limitMs, gone, others = [] }: WaiterOptions) {
    this.#clock = clock
    this.#others = others
    this.#limitMs = limitMs
    this.#gone = gone
    this.#startTimer(firstLimitMs)
    if (gone?.aborted === true) this.#onGone()
    else gone?.addEventListener('abort', this.#onGone, { once: true })
  }

  /** Aborts, with a SheepfsError, when he waits no more. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether only his going ends it. */
  get isPatient(): boolean {
    return this.#limitMs === Infinity
  }

  /** What he waits for has failed, and is tried again. */
  noteFailure(failure: SheepfsError): void {
    this.#failure = failure
    for (const other of this.#others) other.noteFailure(failure)
  }

  /** The cluster has answered: the time begins anew. */
  noteAnswer(): void {
    this.#failure = undefined
    if (this.#timer) this.#startTimer(this.#limitMs)
    for (const other of this.#others) other.noteAnswer()
  }

  /** What was begun must be brought to its end: from now on his going does not end it, as long as the cluster answers. */
  hold(): void {
    this.#isHeld = true
  }

  /** What `promise` gives. Errors: why he waits no more; what is behind the promise goes on then. */
  async until<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this
    promise.catch(() => undefined)
    signal.throwIfAborted()
    let onAbort: (() => void) | undefined
    try {
      const aborted = new Promise<never>((_, reject) => {
        onAbort = () => {
          reject(signal.reason as SheepfsError)
        }
        signal.addEventListener('abort', onAbort, { once: true })
      })
      return await Promise.race([promise, aborted])
    } finally {
      if (onAbort) signal.removeEventListener('abort', onAbort)
    }
  }

  /** He waits no more, for this reason. */
  giveUp(reason: SheepfsError): void {
    this.end()
    this.#controller.abort(reason)
  }

  /** He has what he wanted. Idempotent. */
  end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#gone?.removeEventListener('abort', this.#onGone)
  }

  #limit(limitMs: number): void {
    this.#limitMs = Math.min(this.#limitMs, limitMs)
    this.#startTimer(this.#limitMs)
  }

  #startTimer(limitMs: number): void {
    this.#timer?.cancel()
    if (limitMs === Infinity) return
    this.#timer = this.#clock.after(limitMs, () => {
      const why = this.#failure === undefined ? '' : `: ${this.#failure.message}`
      const text = `no answer from the cluster for ${Math.round(this.#limitMs / 1000)} s${why}`
      this.giveUp(new SheepfsError('unreachable', text, { cause: this.#failure }))
    })
  }
}

/** One who waits for ever. */
export function patientWaiter(clock: Clock): Waiter {
  return new Waiter({ clock, limitMs: Infinity })
}
