import { setTimeout as pause } from 'node:timers/promises'
import { SheepfsError } from '../errors.ts'
import type { Caller } from './supervisor.ts'

/**
 * Questions that cost much, each under way once. Who asks what is being asked already gets the next answer, together with all
 * who wait for that: nobody is told what was found before he asked. With `keptMs` he gets the same one, and so does who asks
 * within that time afterwards. With `pauseMs` the next one that many wait for begins that long after the one before: each that
 * is answered may ask again at once.
 */
export class SharedQuestions {
  readonly #keptMs: number
  readonly #pauseMs: number
  /** By key, what is being asked, and what is kept. */
  readonly #asked = new Map<string, Asked>()
  /** By key, what is asked as soon as that has ended. */
  readonly #queued = new Map<string, Asked>()

  constructor({ keptMs = 0, pauseMs = 0 }: { readonly keptMs?: number; readonly pauseMs?: number } = {}) {
    this.#keptMs = keptMs
    this.#pauseMs = pauseMs
  }

  /**
   * The answer to `question`, of which `key` says everything. It is given up when all have gone who wait for it.
   * Errors: those of the question; who waits for the next answer while this one fails has that error too.
   */
  ask<T>(key: string, { waits, gone }: Caller, question: (caller: Caller) => Promise<T>): Promise<T> {
    const ownKey = `${key} ${String(waits)}`
    const asked = this.#asked.get(ownKey)
    const isShared = asked !== undefined && this.#keptMs > 0 && !asked.gone.aborted
    const joined = isShared ? asked : this.#queued.get(ownKey)
    if (joined && !joined.gone.aborted) {
      joined.join(gone)
      return joined.answer as Promise<T>
    }
    const next = new Asked(gone)
    const begin = (): Promise<T> => this.#begin(ownKey, next, question({ waits, gone: next.gone }))
    const answer = asked === undefined ? begin() : this.#queue(ownKey, { asked, next, begin })
    next.answer = answer
    return answer
  }

  #begin<T>(key: string, asked: Asked, answer: Promise<T>): Promise<T> {
    asked.answer = answer
    asked.beganAt = performance.now()
    this.#asked.set(key, asked)
    const forget = (): void => {
      if (this.#asked.get(key) === asked) this.#asked.delete(key)
    }
    const end = (): void => {
      asked.end()
      if (this.#keptMs === 0 || asked.gone.aborted) forget()
      else setTimeout(forget, this.#keptMs).unref()
    }
    answer.then(end, end)
    return answer
  }

  #queue<T>(key: string, { asked, next, begin }: { asked: Asked; next: Asked; begin: () => Promise<T> }): Promise<T> {
    this.#queued.set(key, next)
    const leave = (): void => {
      if (this.#queued.get(key) === next) this.#queued.delete(key)
    }
    const follow = (): Promise<T> => {
      leave()
      if (next.gone.aborted) throw new SheepfsError('closed', 'nobody waits for the answer any more')
      return begin()
    }
    const followInTime = async (): Promise<T> => {
      const leftMs = asked.beganAt + this.#pauseMs - performance.now()
      if (leftMs > 0) await pause(leftMs)
      return follow()
    }
    return asked.answer.then(followInTime, (error: unknown) => {
      if (asked.gone.aborted) return follow()
      leave()
      next.end()
      throw error
    })
  }
}

/** A question and those who wait for its answer. */
class Asked {
  answer: Promise<unknown> = Promise.resolve()
  beganAt = 0
  readonly #gone = new AbortController()
  readonly #listening: { readonly gone: AbortSignal; readonly leave: () => void }[] = []
  #waiting = 0

  constructor(first: AbortSignal) {
    this.join(first)
  }

  /** Aborts when all have gone. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** Whoever goes now makes no difference any more. */
  end(): void {
    for (const { gone, leave } of this.#listening.splice(0)) gone.removeEventListener('abort', leave)
  }

  join(gone: AbortSignal): void {
    this.#waiting++
    const leave = (): void => {
      if (--this.#waiting === 0) this.#gone.abort()
    }
    if (gone.aborted) leave()
    else gone.addEventListener('abort', leave, { once: true })
    this.#listening.push({ gone, leave })
  }
}
