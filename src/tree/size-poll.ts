import { every, type Clock, type Timer } from '../clock.ts'
import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Attachments } from './attachments.ts'

/** How often somebody else's change of an attached volume is looked for, ms; an open looks too. */
const POLL_MS = 30_000

/** Looks from time to time what others have done to the attached volumes, so that a file that stays open grows too. */
export class SizePoll {
  readonly #attachments: Attachments
  readonly #clock: Clock
  readonly #log: Logger
  #timer: Timer | undefined
  #isRunning = false

  constructor(attachments: Attachments, { clock, log }: { readonly clock: Clock; readonly log: Logger }) {
    this.#attachments = attachments
    this.#clock = clock
    this.#log = log
  }

  /** Idempotent. Keeps no process alive. */
  start(): void {
    this.#timer ??= every(this.#clock, POLL_MS, () => void this.#poll())
  }

  /** Idempotent. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  async #poll(): Promise<void> {
    if (this.#isRunning) return // it still waits for a cluster that is away
    this.#isRunning = true
    for (const file of this.#attachments.list()) {
      await file.refresh().catch((error: unknown) => {
        this.#log.debug({ volume: file.name }, `not looked at: ${errorText(error)}`)
      })
    }
    this.#isRunning = false
  }
}
