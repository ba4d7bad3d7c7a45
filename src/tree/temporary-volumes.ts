import type { Clock, Timer } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import type { VolumeFile } from './volume-file.ts'

/** Programs look a loop device up and set it up between the attachment and the first open, on a machine with much to do. */
const GRACE_MS = 30_000

/**
 * The volumes that are attached only as long as somebody has them open: whoever attached one may be killed before it
 * detaches it, or may not be told of the end of its use.
 */
export class TemporaryVolumes {
  readonly #clock: Clock
  readonly #onUnused: (file: VolumeFile, reason: string) => void
  /** With the wait for whoever is to open it; undefined: it has been opened. */
  readonly #waits = new Map<VolumeFile, Timer | undefined>()

  #isStopped = false

  /** @param onUnused nobody needs the volume any more; `reason` says how that is known */
  constructor(clock: Clock, onUnused: (file: VolumeFile, reason: string) => void) {
    this.#clock = clock
    this.#onUnused = onUnused
  }

  has(file: VolumeFile): boolean {
    return this.#waits.has(file)
  }

  /** Somebody is about to open the volume. */
  expect(file: VolumeFile): void {
    this.#waits.get(file)?.cancel()
    const give = (): void => {
      this.#waits.set(file, undefined)
      this.#release(file, `nobody has opened it for ${GRACE_MS / 1000} s`)
    }
    this.#waits.set(file, this.#clock.after(GRACE_MS, give, { isBackground: true }))
  }

  /** The volume is temporary no more: it is attached for good, or not at all. */
  forget(file: VolumeFile): void {
    this.#waits.get(file)?.cancel()
    this.#waits.delete(file)
  }

  /** Errors: not-found when the volume is not temporary, busy when somebody is about to open it. */
  checkUnused(file: VolumeFile): void {
    if (!this.has(file)) throw new SheepfsError('not-found', `volume "${file.name}" is attached for good`)
    if (this.#waits.get(file) === undefined) return
    throw new SheepfsError('busy', `volume "${file.name}" is about to be opened`)
  }

  /** The volumes stay temporary, and nothing is told of their use any more. */
  stop(): void {
    this.#isStopped = true
    for (const wait of this.#waits.values()) wait?.cancel()
  }

  noteOpened(file: VolumeFile): void {
    if (!this.has(file)) return
    this.#waits.get(file)?.cancel()
    this.#waits.set(file, undefined)
  }

  noteClosed(file: VolumeFile): void {
    if (this.#waits.get(file) === undefined) this.#release(file, 'nobody has it open any more')
  }

  #release(file: VolumeFile, reason: string): void {
    if (!this.#isStopped && this.has(file) && file.openCount === 0) this.#onUnused(file, reason)
  }
}
