const PAGE_SHIFT = 10
/** Entries that are kept together: 4 KiB of the inode. */
const PAGE = 2 ** PAGE_SHIFT
/** Entries that are read together: 256 KiB. */
const PIECE = 64 * PAGE

/** Fills `into` with the entries from `first` on. */
type ReadEntries = (first: number, into: Uint32Array<ArrayBuffer>) => Promise<void>

/** A page whose entries are not alike. */
interface Mixed {
  readonly entries: Uint32Array
  /** Entries that are not 0. */
  held: number
}

/**
 * The entries of an array index. Of a page whose entries are alike, as of a volume that is empty, or not shared, only that one
 * number is kept. The others stay in memory as long as the volume is attached: read again they could be those of a snapshot
 * that is being deleted, whose index is cleared first (docs/sheepdog-protocol.md#5.7).
 */
export class EntryTable {
  readonly #read: ReadEntries
  readonly #mixed = new Map<number, Mixed>()
  /** By page, what all of its entries are, when it is not mixed. */
  #alike = new Uint32Array(0)
  #count = 0
  #allocated = 0

  private constructor(read: ReadEntries) {
    this.#read = read
  }

  /** Reads `count` entries. Errors: those of the read. */
  static async load(count: number, read: ReadEntries): Promise<EntryTable> {
    const table = new EntryTable(read)
    table.grow(count)
    const piece = new Uint32Array(Math.min(PIECE, count))
    for (let first = 0; first < count; first += PIECE) await table.#readInto(first, piece.subarray(0, count - first))
    return table
  }

  get count(): number {
    return this.#count
  }

  /** Entries that are not 0. */
  get allocated(): number {
    return this.#allocated
  }

  /** 0 past the end. */
  get(index: number): number {
    if (index >= this.#count) return 0
    const at = index >>> PAGE_SHIFT
    return this.#mixed.get(at)?.entries[index % PAGE] ?? this.#alike[at] ?? 0
  }

  /** The cluster has it. */
  set(index: number, vid: number): void {
    const at = index >>> PAGE_SHIFT
    const mixed = this.#mixed.get(at)
    if (mixed === undefined && this.#alike[at] === vid) return
    const entries = this.#entriesOf(at)
    const isMore = Number(vid !== 0) - Number(entries[index % PAGE] !== 0)
    entries[index % PAGE] = vid
    const held = this.#heldOf(at) + isMore
    if (mixed === undefined || held === 0 || held === this.#lengthOf(at)) {
      this.#keep(at, entries)
      return
    }
    mixed.held = held
    this.#allocated += isMore
  }

  /** The first index from `from` on whose entry is not 0 (data) or is (hole); `count` when there is none. */
  next(from: number, wanted: 'data' | 'hole'): number {
    for (let at = from >>> PAGE_SHIFT, start = from; start < this.#count; at++, start = at * PAGE) {
      const held = this.#heldOf(at)
      const found = wanted === 'data' ? held : this.#lengthOf(at) - held
      if (found === 0) continue
      if (found === this.#lengthOf(at)) return start
      const entries = this.#entriesOf(at)
      for (let index = start; index < at * PAGE + this.#lengthOf(at); index++) {
        if ((entries[index % PAGE] !== 0) === (wanted === 'data')) return index
      }
    }
    return this.#count
  }

  /** Reads entries again that may have changed; whole pages, or up to the end. Errors: those of the read. */
  async reread(first: number, count: number): Promise<void> {
    await this.#readInto(first, new Uint32Array(Math.min(count, this.#count - first)))
  }

  /** The new ones are 0. */
  grow(count: number): void {
    const last = this.#alike.length - 1
    const before = last < 0 ? undefined : { entries: this.#entriesOf(last), held: this.#heldOf(last) }
    this.#count = Math.max(count, this.#count)
    const alike = new Uint32Array(Math.ceil(this.#count / PAGE))
    alike.set(this.#alike)
    this.#alike = alike
    if (before === undefined) return
    this.#mixed.set(last, before)
    this.#keep(last, before.entries)
  }

  async #readInto(first: number, into: Uint32Array<ArrayBuffer>): Promise<void> {
    await this.#read(first, into)
    for (let from = 0; from < into.length; from += PAGE) {
      this.#keep((first + from) / PAGE, into.subarray(from, from + PAGE), { isShared: true })
    }
  }

  /** A copy, unless the page has entries of its own. */
  #entriesOf(at: number): Uint32Array {
    return this.#mixed.get(at)?.entries ?? new Uint32Array(PAGE).fill(this.#alike[at] ?? 0, 0, this.#lengthOf(at))
  }

  #heldOf(at: number): number {
    return this.#mixed.get(at)?.held ?? (this.#alike[at] === 0 ? 0 : this.#lengthOf(at))
  }

  #lengthOf(at: number): number {
    return Math.min(PAGE, this.#count - at * PAGE)
  }

  /** `isShared`: somebody else writes to this memory. */
  #keep(at: number, entries: Uint32Array, { isShared = false } = {}): void {
    const length = this.#lengthOf(at)
    const [first = 0] = entries
    let held = 0
    let alike = 0
    for (let i = 0; i < length; i++) {
      const entry = entries[i] ?? 0
      if (entry !== 0) held++
      if (entry === first) alike++
    }
    this.#allocated += held - this.#heldOf(at)
    this.#mixed.delete(at)
    this.#alike[at] = first
    if (alike === length) return
    const own = isShared ? new Uint32Array(PAGE) : entries
    if (isShared) own.set(entries)
    this.#mixed.set(at, { entries: own, held })
  }
}
