import { every, type Clock, type Timer } from '../clock.ts'
import type { TreeChange } from './node.ts'
import type { VolumeFile } from './volume-file.ts'

/** How often at most is told of files that move, ms: what follows from it shall be done within a second. */
const PERIOD_MS = 750

/**
 * Tells of files whose times move: of the first change at once, before it is done, of more once in a while, and when they
 * have come to rest. What was told of is all that a successor knows when this process is killed.
 */
export class TimesReport {
  readonly #announce: (change: TreeChange) => void
  readonly #clock: Clock
  /** What has been told of, and may move on. */
  readonly #moving = new Set<VolumeFile>()
  /** What has moved since it was told of. */
  readonly #moved = new Set<VolumeFile>()
  #timer: Timer | undefined

  constructor(announce: (change: TreeChange) => void, clock: Clock) {
    this.#announce = announce
    this.#clock = clock
  }

  note(file: VolumeFile): void {
    if (file.times.isMoving) {
      this.#moved.add(file)
      return
    }
    file.times.isMoving = true
    this.#moving.add(file)
    this.#tell([file])
    this.#timer ??= every(this.#clock, PERIOD_MS, () => {
      this.#tick()
    })
  }

  #tick(): void {
    this.#tell([...this.#moving].filter((file) => this.#moved.delete(file) || this.#comesToRest(file)))
    if (this.#moving.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** A request that is not answered may be a change. */
  #comesToRest(file: VolumeFile): boolean {
    if (file.requests.count > 0) return false
    file.times.isMoving = false
    return this.#moving.delete(file)
  }

  #tell(files: readonly VolumeFile[]): void {
    if (files.length === 0) return
    this.#announce({
      kind: 'times',
      nodes: files.map(({ id, times }) => ({ node: id, ...(times.isUntold && { untoldMs: times.modifiedMs }) })),
    })
    for (const { times } of files) times.isUntold = false
  }
}
