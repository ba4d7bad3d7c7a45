import { availableParallelism } from 'node:os'

/** How long the loop is kept turning for one event: a write takes 0.4 to 0.8 ms where sheep write to a fast disk. */
const WINDOW_MS = 1
/** An event in time earns two of these, a vain wait costs one: where less than a third of the waits are short, none is left. */
const MOST_CREDIT = 16
/** What is granted for trial, several in a row because a processor that has slept is slow at first, after so many waits. */
const TRIAL_CREDIT = 8
const TRIAL_EVERY = 128

/**
 * Waits that may be short, of one kind. Where they are, the event loop is kept turning until the event comes: to fall asleep
 * and be woken takes as long as a sheep needs to answer a small request. Where they are not, it sleeps. QEMU's event loop
 * does the same (poll-max-ns). Needs a second processor, on which the event can come about.
 */
export class ShortWait {
  readonly #isOff: boolean
  /** Until when the present wait counts as short; 0 when nothing is awaited. */
  #until = 0
  #isTurning = false
  #credit = TRIAL_CREDIT
  #waits = 0

  constructor(processors = availableParallelism()) {
    this.#isOff = processors < 2
  }

  /** Whether the loop is kept turning now. */
  get isTurning(): boolean {
    return this.#isTurning
  }

  /** The event is awaited from now on; if it was before, from now on anew. */
  begin(): void {
    if (this.#isOff) return
    if (this.#credit === 0) {
      if (++this.#waits % TRIAL_EVERY !== 0) return
      this.#credit = TRIAL_CREDIT
    }
    this.#until = performance.now() + WINDOW_MS
    if (this.#isTurning) return
    this.#isTurning = true
    setImmediate(this.#turn)
  }

  /** The event has come, or is not awaited any more. */
  end(): void {
    if (this.#until === 0) return
    this.#until = 0
    this.#credit = Math.min(this.#credit + 2, MOST_CREDIT)
  }

  readonly #turn = (): void => {
    if (performance.now() < this.#until) {
      setImmediate(this.#turn)
      return
    }
    if (this.#until !== 0) this.#credit--
    this.#until = 0
    this.#isTurning = false
  }
}
