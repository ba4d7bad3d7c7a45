import type { Clock } from '../clock.ts'

/** A text that is being made, or was. */
export interface Rendering {
  readonly text: Promise<Uint8Array>
  /** When it was asked for, by `Clock.now`. */
  readonly askedAt: number
  /** Undefined while it is being made. */
  endedAt: number | undefined
  /** Some open file shows it. */
  isShown: boolean
}

/**
 * How long a text may pass from a stat(2) to the open(2) that follows, ms. Long enough for the two system calls of one
 * program, too short for somebody to change the cluster in between and look.
 */
const SHARED_MS = 100

/**
 * Makes a text when it is asked for, once at a time: whoever opens it while it is being made for somebody else gets the
 * next one, together with all who wait. So nobody is shown a text older than his question, or than his stat just before.
 */
export class SharedText {
  readonly #make: () => Promise<Uint8Array>
  readonly #clock: Clock
  #latest: Rendering | undefined
  #queued: Rendering | undefined

  constructor(make: () => Promise<Uint8Array>, clock: Clock) {
    this.#make = make
    this.#clock = clock
  }

  /** For a stat: the latest text, or the one that is being made, or else a new one. */
  forStat(): Rendering {
    const latest = this.#latest
    return latest !== undefined && this.#isFresh(latest) ? latest : this.#render()
  }

  /** For an open: the text of a stat just before, unless another open has it already, or else a new one. */
  forOpen(): Rendering {
    const latest = this.#latest
    const rendering = latest !== undefined && this.#isFresh(latest) && !latest.isShown ? latest : this.#render()
    rendering.isShown = true
    return rendering
  }

  #render(): Rendering {
    const latest = this.#latest
    if (latest?.endedAt === undefined && latest !== undefined) return (this.#queued ??= this.#renderAfter(latest))
    return (this.#latest = this.#toRendering(this.#make()))
  }

  #renderAfter(running: Rendering): Rendering {
    const start = (): Promise<Uint8Array> => {
      this.#latest = this.#queued
      this.#queued = undefined
      return this.#make()
    }
    return this.#toRendering(running.text.then(start, start))
  }

  #toRendering(text: Promise<Uint8Array>): Rendering {
    const rendering: Rendering = { text, askedAt: this.#clock.now(), endedAt: undefined, isShown: false }
    const end = (): void => {
      rendering.endedAt = this.#clock.now()
    }
    text.then(end, end)
    return rendering
  }

  #isFresh({ endedAt }: Rendering): boolean {
    return endedAt === undefined || this.#clock.now() - endedAt <= SHARED_MS
  }
}
