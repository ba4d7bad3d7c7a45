import { setTimeout as delay } from 'node:timers/promises'
import { errorText } from '../errors.ts'
import type { Logger } from '../log.ts'

const LOOK_EVERY_MS = 2000
/** A mount that is not in the table is looked for once more: the table is not read in one piece. */
const LOOK_AGAIN_MS = 100

/** What may be unmounted by somebody else. */
export interface WatchedMount {
  /** Whether it is in the mount table of this process. */
  isMounted(): Promise<boolean>
  /** Ends it where it lives on, unless it is in the mount table. Errors: busy while something is open there. */
  endHidden(): Promise<void>
}

/**
 * Looks now and then whether a mount is still to be seen. One that somebody has unmounted here, and that lives on in another
 * mount name space, would be served for ever and stopped by nobody: it is ended as soon as nothing is open in it.
 */
export class MountWatch {
  readonly #mount: WatchedMount
  readonly #log: Logger
  readonly #timer: NodeJS.Timeout
  #isLooking = false
  #isTold = false

  constructor(mount: WatchedMount, log: Logger) {
    this.#mount = mount
    this.#log = log
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      if (await this.#isSeen()) this.#isTold = false
      else await this.#mount.endHidden()
    } catch (error) {
      if (!this.#isTold) this.#log.warn(`served on: ${errorText(error)}`)
      this.#isTold = true
    } finally {
      this.#isLooking = false
    }
  }

  async #isSeen(): Promise<boolean> {
    if (await this.#mount.isMounted()) return true
    await delay(LOOK_AGAIN_MS)
    return this.#mount.isMounted()
  }
}
