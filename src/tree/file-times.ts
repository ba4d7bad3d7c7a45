import type { Clock } from '../clock.ts'

/** The least by which two changes are apart, ms: nobody who compares times takes one for the other. */
const STEP_MS = 0.001

/** When a file was changed: mtime and ctime, ms since 1970. */
export class FileTimes {
  readonly #clock: Clock
  #modifiedMs: number
  #changedMs: number

  constructor(sinceMs: number, clock: Clock) {
    this.#clock = clock
    this.#modifiedMs = sinceMs
    this.#changedMs = sinceMs
  }

  /** mtime: of the content, or what somebody has set it to. */
  get modifiedMs(): number {
    return this.#modifiedMs
  }

  /** ctime: of the content or of `set`. Never falls back, also when the clock does. */
  get changedMs(): number {
    return this.#changedMs
  }

  /** The content is another one. */
  touch(): void {
    this.#changedMs = Math.max(this.#clock.date(), this.#changedMs + STEP_MS)
    this.#modifiedMs = this.#changedMs
  }

  /** utimensat(2): the content is the same. */
  set(modifiedMs: number): void {
    this.touch()
    this.#modifiedMs = modifiedMs
  }
}
