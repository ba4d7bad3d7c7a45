import type { Clock } from '../clock.ts'

/** The least by which two changes are apart, ms: nobody who compares times takes one for the other. */
const STEP_MS = 0.001

/** How much earlier than this process a kernel may think that it is, ms: its clock for files goes in ticks. */
const TICK_MS = 10

/** What a successor of this process must know of a file. */
export interface SavedTimes {
  readonly modifiedMs: number
  readonly changedMs: number
  /** There may be later changes that nobody was told of. */
  readonly isMoving: boolean
}

/** Plain data. */
export function savedTimes({ modifiedMs, changedMs, isMoving }: FileTimes): SavedTimes {
  return { modifiedMs, changedMs, isMoving }
}

/** When a file was changed: mtime and ctime, ms since 1970. */
export class FileTimes implements SavedTimes {
  /** Changes have come lately; see `TimesReport`. */
  isMoving = false
  /** A kernel that keeps the times by itself (where it writes back) does not know of the last change. */
  isUntold = false
  readonly #clock: Clock
  readonly #onMove: () => void
  #modifiedMs: number
  #changedMs: number

  /** `onMove` is called at every change. */
  constructor(
    { modifiedMs, changedMs }: Pick<SavedTimes, 'modifiedMs' | 'changedMs'>,
    { clock, onMove }: { readonly clock: Clock; readonly onMove: () => void },
  ) {
    this.#clock = clock
    this.#modifiedMs = modifiedMs
    this.#changedMs = changedMs
    this.#onMove = onMove
  }

  /** mtime: of the content, or what somebody has set it to. */
  get modifiedMs(): number {
    return this.#modifiedMs
  }

  /** ctime: of the content or of `set`. Never falls back, also when the clock does. */
  get changedMs(): number {
    return this.#changedMs
  }

  /** The content is another one. `isTold`: a kernel that keeps the times by itself knows. */
  touch({ isTold = false } = {}): void {
    this.#changedMs = Math.max(this.#clock.date(), this.#changedMs + STEP_MS)
    this.#modifiedMs = this.#changedMs
    this.isUntold ||= !isTold
    this.#onMove()
  }

  /**
   * utimensat(2): the content is the same. A kernel that keeps the times by itself says with `changedMs` when that was: what
   * it has from before the last change here is old.
   */
  set(modifiedMs: number, changedMs = Infinity): void {
    if (changedMs < this.#changedMs - TICK_MS) return
    this.#changedMs = Math.max(this.#clock.date(), this.#changedMs + STEP_MS)
    this.#modifiedMs = modifiedMs
    this.#onMove()
  }
}
