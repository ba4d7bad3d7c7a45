import { sleep, type Clock } from '../clock.ts'
import { isSheepfsError, type SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Timing } from './timing.ts'
import type { Waiter } from './waiter.ts'

/** Whether requests wait for the cluster. */
export type OutageState =
  | { readonly kind: 'serving' }
  | { readonly kind: 'waiting'; readonly sinceMs: number; readonly reason: string; readonly requests: number }

/** For whom something is done. */
interface Whose {
  /** Of the request that it belongs to. */
  readonly patience?: Patience | undefined
  readonly waiter?: Waiter | undefined
}

/** Waits shorter than this are not worth telling anybody. */
const QUIET_MS = 1000

/**
 * Everybody who waits for the cluster, and how long they may. Tells once when the first has waited for a second, and once
 * when the last goes on. Who waits for an answer that may still come is only known by the silence of the sheep.
 */
export class Outage {
  readonly #clock: Clock
  readonly #log: Logger
  readonly #onChange: (state: OutageState) => void
  readonly #waiting = new Set<Patience>()
  readonly #timing: Timing
  /** By address of the sheep. */
  readonly #silences = new Map<string, { readonly sinceMs: number; readonly reason: string }>()
  /** Who of those that wait, or have waited since nobody did, began first. */
  #began: Pick<Patience, 'startedAt' | 'sinceMs'> | undefined
  #isTold = false
  #waits = 0
  #lastWaitAt = -Infinity
  #reason = ''
  /** Longest wait of a request, ms; Infinity: for ever. May change at any time. */
  timeoutMs: number

  constructor(options: {
    readonly timeoutMs: number
    readonly timing: Timing
    readonly clock: Clock
    readonly log: Logger
    readonly onChange: (state: OutageState) => void
  }) {
    this.timeoutMs = options.timeoutMs
    this.#timing = options.timing
    this.#clock = options.clock
    this.#log = options.log
    this.#onChange = options.onChange
  }

  get state(): OutageState {
    const [silence] = this.#silences.values()
    const requests = this.#waiting.size
    if (this.#began && this.#isTold) {
      return { kind: 'waiting', sinceMs: this.#began.sinceMs, reason: this.#reason, requests }
    }
    return silence ? { kind: 'waiting', ...silence, requests } : { kind: 'serving' }
  }

  /** How long a sheep may leave a request unanswered before it counts as dead, ms. */
  get deadlineMs(): number {
    const { deadlineMs, shortestDeadlineMs } = this.#timing
    return Math.min(deadlineMs, Math.max(this.timeoutMs, shortestDeadlineMs))
  }

  /** A sheep leaves requests unanswered for longer than is usual; or it does not any more: it answers, or is lost. */
  noteSilence(sheep: string, isSilent: boolean): void {
    const sinceMs = this.#clock.date() - this.#timing.silenceMs
    if (isSilent) this.#silences.set(sheep, { sinceMs, reason: `sheep ${sheep} does not answer` })
    else if (!this.#silences.delete(sheep)) return
    this.#onChange(this.state)
  }

  /** How often a request has waited before it was sent again. */
  get waits(): number {
    return this.#waits
  }

  /** When a request waited last: a time of the clock. */
  get lastWaitAt(): number {
    return this.#lastWaitAt
  }

  /** The patience of one request; of one that is made for a waiter, his. To be ended. */
  patience(waiter?: Waiter): Patience {
    return new Patience(this, { clock: this.#clock, timing: this.#timing, waiter })
  }

  /** Does something with the patience of the request that it is done for, or with one of its own. */
  withPatience<T>({ patience, waiter }: Whose, work: (patience: Patience) => Promise<T>): Promise<T> {
    return patience ? work(patience) : this.#withOwn(this.patience(waiter), work)
  }

  async #withOwn<T>(patience: Patience, work: (patience: Patience) => Promise<T>): Promise<T> {
    try {
      return await work(patience)
    } finally {
      patience.end()
    }
  }

  /** As `withPatience`: tries something until a try has an outcome. */
  patiently<T>(whose: Whose, attempt: (patience: Patience) => Promise<T | undefined>): Promise<T> {
    return this.withPatience(whose, async (patience) => {
      for (;;) {
        const outcome = await attempt(patience)
        if (outcome !== undefined) return outcome
      }
    })
  }

  /** As `patiently`, where only a patient waiter waits for a sheep to answer: others hear of it at once. */
  untilReached<T>(waiter: Waiter | undefined, attempt: () => Promise<T | undefined>): Promise<T> {
    return this.patiently({ waiter }, async (patience) => {
      try {
        return await attempt()
      } catch (error) {
        const isAway = isSheepfsError(error, 'unreachable') || isSheepfsError(error, 'timeout')
        if (!isAway || waiter?.isPatient !== true) throw error
        await patience.wait(error)
        return undefined
      }
    })
  }

  /** @internal for Patience */
  join(patience: Patience, failure: SheepfsError): void {
    this.#waiting.add(patience)
    if (this.#began === undefined || patience.startedAt < this.#began.startedAt) this.#began = patience
    if (this.#isTold || this.#clock.now() - patience.startedAt < QUIET_MS) return
    this.#isTold = true
    this.#reason = failure.message
    this.#log.warn({ code: failure.code }, `waiting for the cluster: ${failure.message}`)
    this.#onChange(this.state)
  }

  /** @internal for Patience: it waits before something is sent again. */
  noteRetry(): void {
    this.#waits++
    this.#lastWaitAt = this.#clock.now()
  }

  /** @internal for Patience */
  leave(patience: Patience): void {
    if (!this.#waiting.delete(patience) || this.#waiting.size > 0) return
    const { startedAt } = this.#began ?? patience
    this.#began = undefined
    if (!this.#isTold) return
    this.#isTold = false
    const seconds = Math.round((this.#clock.now() - startedAt) / 1000)
    const outcome = patience.hasGivenUp ? 'no request waits any more: the last failed' : 'the cluster answers again'
    this.#log.info(`${outcome} after ${seconds} s`)
    this.#onChange(this.state)
  }
}

/** One request's way through an outage. */
export class Patience {
  readonly #outage: Outage
  readonly #clock: Clock
  readonly startedAt: number
  readonly sinceMs: number
  readonly #lastPauseMs: number
  readonly #firstPauseMs: number
  #pauseMs: number
  readonly #waiter: Waiter | undefined
  #hasGivenUp = false

  constructor(
    outage: Outage,
    { clock, timing, waiter }: { readonly clock: Clock; readonly timing: Timing; readonly waiter: Waiter | undefined },
  ) {
    this.#outage = outage
    this.#clock = clock
    this.#waiter = waiter
    this.startedAt = clock.now()
    this.sinceMs = clock.date()
    this.#firstPauseMs = timing.firstPauseMs
    this.#pauseMs = timing.firstPauseMs
    this.#lastPauseMs = timing.lastPauseMs
  }

  /** Something has failed because the request had waited as long as it may. */
  get hasGivenUp(): boolean {
    return this.#hasGivenUp
  }

  /** The request may not wait any longer. */
  get isOver(): boolean {
    const limitMs = this.#waiter?.isPatient === true ? Infinity : this.#outage.timeoutMs
    return this.#waiter?.signal.aborted === true || this.#clock.now() - this.startedAt >= limitMs
  }

  /** Resolves after a pause that grows; rejects with `failure` when the request has waited as long as it, or its waiter, may. */
  async wait(failure: SheepfsError): Promise<void> {
    this.#outage.noteRetry()
    this.#noteWait(failure)
    this.#checkTime(failure)
    const pauseMs = this.#pauseMs * (0.75 + this.#clock.random() / 2)
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#lastPauseMs)
    await sleep(this.#clock, pauseMs)
    this.#checkTime(failure)
  }

  /** As `promise`, which is waited for as for the cluster; rejects with `failure` when the request has waited as long as it may. */
  until<T>(promise: Promise<T>, failure: SheepfsError): Promise<T> {
    return this.#during(promise, () => {
      this.#noteWait(failure)
      this.#checkTime(failure)
    })
  }

  /** As `promise`, which is waited for as for the cluster, but for as long as it takes. */
  during<T>(promise: Promise<T>, failure: SheepfsError): Promise<T> {
    return this.#during(promise, () => {
      this.#noteWait(failure)
    })
  }

  async #during<T>(promise: Promise<T>, check: () => void): Promise<T> {
    const over = promise.then(() => true)
    over.catch(() => undefined) // nobody may be left who waits for it
    for (let pauseMs = this.#firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, this.#lastPauseMs)) {
      check()
      const pause = sleep(this.#clock, pauseMs).then(() => false)
      if (await Promise.race([over, pause])) return promise
    }
  }

  #noteWait(failure: SheepfsError): void {
    this.#outage.join(this, failure)
    this.#waiter?.noteFailure(failure)
  }

  #checkTime(failure: SheepfsError): void {
    if (!this.isOver) return
    this.#hasGivenUp = true
    throw failure
  }

  /** The request has its answer, or has given up. */
  end(): void {
    this.#outage.leave(this)
  }
}
