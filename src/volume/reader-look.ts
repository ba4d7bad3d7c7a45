import { reloadIncarnation } from './reload-incarnation.ts'
import type { VolumeCore } from './volume-core.ts'

/** How old an index entry may be that is answered from; short enough to be noticed by nobody who waits for a writer. */
const FRESH_MS = 1000
/** Entries that are looked at together: a page of the inode. */
const RANGE = 1024

interface Look {
  readonly done: Promise<void>
  /** When it came back; undefined while it is under way. */
  endMs: number | undefined
}

/**
 * The index of a VDI that another host writes to, seen by one who only reads: an entry may have changed since it was read.
 * One look for all who need it, at most one per `FRESH_MS` and range.
 */
export class ReaderLook {
  readonly #core: VolumeCore
  readonly #looks = new Map<number, Look>()

  constructor(core: VolumeCore) {
    this.#core = core
  }

  /** Looks at the entry of object `index` again; false, and nothing is done, when that was just now. Errors: stale. */
  async renew(index: number): Promise<boolean> {
    const range = this.#core.index.reread ? Math.floor(index / RANGE) : 0
    const last = this.#looks.get(range)
    if (last?.endMs !== undefined && this.#core.cluster.clock.now() - last.endMs < FRESH_MS) return false
    if (last && last.endMs === undefined) await last.done
    else await this.#begin(range)
    return true
  }

  #begin(range: number): Promise<void> {
    const look: Look = { done: this.#look(range), endMs: undefined }
    this.#looks.set(range, look)
    return look.done.then(
      () => {
        look.endMs = this.#core.cluster.clock.now()
      },
      (error: unknown) => {
        this.#looks.delete(range)
        throw error
      },
    )
  }

  /** A snapshot leaves the index as it is: what is written from then on is in another inode. */
  async #look(range: number): Promise<void> {
    const { index } = this.#core
    const { isSnapshot } = await this.#core.checkAlive()
    if (isSnapshot || !index.reread) await reloadIncarnation(this.#core)
    else await index.reread(range * RANGE, RANGE)
  }
}
