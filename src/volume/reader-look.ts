import { objectCount, type InodeHeader } from '../wire/inode.ts'
import { reloadIncarnation } from './reload-incarnation.ts'
import type { VolumeCore } from './volume-core.ts'
import { checkLayout } from './volume-layout.ts'

/** How old an index entry may be that is answered from; short enough to be noticed by nobody who waits for a writer. */
const FRESH_MS = 1000
/** Entries that are looked at together: a page of the inode. */
const RANGE = 1024
/** Ranges that are looked at together by who goes through the index: 256 KiB. */
const SCAN_RANGES = 64

interface Look {
  readonly done: Promise<void>
  /** When it came back; undefined while it is under way. */
  endMs: number | undefined
  /** It was begun before the VDI was last refreshed. */
  isExpired: boolean
}

/**
 * The index of a VDI that another host writes to, seen by one who only reads: an entry may have changed since it was read, and
 * nothing in the inode's head tells. Of what is used the entry is looked at again: one look for all who need it, at most one per
 * `FRESH_MS` and range.
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
    if (last && last.endMs === undefined) {
      await last.done
      if (last.isExpired) await this.renew(index)
      return true
    }
    const isFresh = last?.endMs !== undefined && this.#core.cluster.clock.now() - last.endMs < FRESH_MS
    if (isFresh && !last.isExpired) return false
    await this.#begin(range, 1)
    return true
  }

  /**
   * Takes the head of the inode as it is now; no entry that was looked at before is fresh any more. The index is only read where
   * it is used, unless the VDI has got another inode. Errors: stale.
   */
  async refresh(header: InodeHeader): Promise<void> {
    for (const look of this.#looks.values()) look.isExpired = true
    const { index, vid, header: known, text } = this.#core
    if (header.vdiId !== vid) return // it has got another one meanwhile, and that was read
    if (header.isSnapshot || header.vdiSize < known.vdiSize) return reloadIncarnation(this.#core)
    checkLayout(header, text)
    index.grow(objectCount(header.vdiSize, header.blockSizeShift))
    this.#core.adopt({ header, index })
  }

  /** As `next` of the index, through entries of which none is older than the last refresh. Errors: stale. */
  async next(from: number, wanted: 'data' | 'hole'): Promise<number> {
    await this.renew(from)
    for (let at = from; ;) {
      const { index } = this.#core
      if (!index.reread) return index.next(at, wanted)
      const end = await this.#scan(at)
      const found = await index.next(at, wanted)
      if (found < end || end >= index.objectCount) return found
      at = end
    }
  }

  /** Looks at what was not looked at since the last refresh, from the range of `index` on. Resolves with where that ends. */
  async #scan(index: number): Promise<number> {
    const first = Math.floor(index / RANGE)
    const last = this.#looks.get(first)
    if (last && last.endMs === undefined) await last.done
    let end = first
    while (this.#looks.get(end)?.isExpired === false && this.#looks.get(end)?.endMs !== undefined) end++
    if (end > first) return end * RANGE
    const most = Math.min(first + SCAN_RANGES, Math.ceil(this.#core.index.objectCount / RANGE))
    do end++
    while (end < most && !this.#isUnderWay(end))
    await this.#begin(first, end - first)
    return end * RANGE
  }

  #isUnderWay(range: number): boolean {
    const look = this.#looks.get(range)
    return look !== undefined && look.endMs === undefined
  }

  #begin(first: number, ranges: number): Promise<void> {
    const look: Look = { done: this.#look(first, ranges), endMs: undefined, isExpired: false }
    const own = Array.from({ length: ranges }, (_, k) => first + k)
    for (const range of own) this.#looks.set(range, look)
    return look.done.then(
      () => {
        look.endMs = this.#core.cluster.clock.now()
      },
      (error: unknown) => {
        for (const range of own) this.#looks.delete(range)
        throw error
      },
    )
  }

  /** A snapshot leaves the index as it is: what is written from then on is in another inode. */
  async #look(first: number, ranges: number): Promise<void> {
    const { index } = this.#core
    const { isSnapshot } = await this.#core.checkAlive()
    if (isSnapshot || !index.reread) await reloadIncarnation(this.#core)
    else await index.reread(first * RANGE, ranges * RANGE)
  }
}
