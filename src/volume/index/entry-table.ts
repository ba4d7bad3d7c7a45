const PAGE_SHIFT = 10
/** Entries that are kept together: 4 KiB of the inode. */
const PAGE = 2 ** PAGE_SHIFT
/** Entries that are read together: 256 KiB. */
const PIECE = 64 * PAGE

type ReadEntries = (first: number, count: number) => Promise<Uint32Array>

/**
 * The entries of an array index. Of a page whose entries are alike, as of a volume that is empty, or not shared, only that one
 * number is kept. The others stay in memory as long as the volume is attached: read again they could be those of a snapshot
 * that is being deleted, whose index is cleared first (docs/sheepdog-protocol.md#5.7).
 */
export class EntryTable {
  readonly #read: ReadEntries
  /** A number is all of its entries. */
  readonly #pages: (Uint32Array | number)[] = []
  /** Entries of each page that are not 0. */
  readonly #held: number[] = []
  #count = 0
  #allocated = 0

  private constructor(read: ReadEntries) {
    this.#read = read
  }

  /** Reads `count` entries. Errors: those of the read. */
  static async load(count: number, read: ReadEntries): Promise<EntryTable> {
    const table = new EntryTable(read)
    table.grow(count)
    for (let first = 0; first < count; first += PIECE) await table.reread(first, Math.min(PIECE, count - first))
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
    const page = this.#pages[index >>> PAGE_SHIFT] ?? 0
    return typeof page === 'number' ? page : (page[index % PAGE] ?? 0)
  }

  /** The cluster has it. */
  set(index: number, vid: number): void {
    const at = index >>> PAGE_SHIFT
    const page = this.#pages[at] ?? 0
    if (page === vid) return
    const entries = this.#entriesOf(at)
    const isMore = Number(vid !== 0) - Number(entries[index % PAGE] !== 0)
    const held = (this.#held[at] ?? 0) + isMore
    entries[index % PAGE] = vid
    const mayBeAlike = held === 0 || held === this.#lengthOf(at)
    if (mayBeAlike || typeof page === 'number') {
      this.#keep(at, entries)
      return
    }
    this.#held[at] = held
    this.#allocated += isMore
  }

  /** The first index from `from` on whose entry is not 0 (data) or is (hole); `count` when there is none. */
  next(from: number, wanted: 'data' | 'hole'): number {
    for (let at = from >>> PAGE_SHIFT, start = from; start < this.#count; at++, start = at * PAGE) {
      const held = this.#held[at] ?? 0
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

  /** Reads entries again that may have changed; `first` begins a page. Errors: those of the read. */
  async reread(first: number, count: number): Promise<void> {
    const read = await this.#read(first, Math.min(count, this.#count - first))
    for (let from = 0; from < read.length; from += PAGE) {
      const at = (first + from) / PAGE
      const entries = this.#entriesOf(at).slice()
      entries.set(read.subarray(from, from + PAGE))
      this.#keep(at, entries)
    }
  }

  /** The new ones are 0. */
  grow(count: number): void {
    const last = this.#pages.length - 1
    const entries = last < 0 ? undefined : this.#entriesOf(last)
    this.#count = Math.max(count, this.#count)
    while (this.#pages.length * PAGE < this.#count) {
      this.#pages.push(0)
      this.#held.push(0)
    }
    if (entries) this.#keep(last, entries)
  }

  /** A copy, unless the page has entries of its own. */
  #entriesOf(at: number): Uint32Array {
    const page = this.#pages[at] ?? 0
    return typeof page === 'number' ? new Uint32Array(PAGE).fill(page, 0, this.#lengthOf(at)) : page
  }

  #lengthOf(at: number): number {
    return Math.min(PAGE, this.#count - at * PAGE)
  }

  #keep(at: number, entries: Uint32Array): void {
    const length = this.#lengthOf(at)
    const [first = 0] = entries
    let held = 0
    let alike = 0
    for (let i = 0; i < length; i++) {
      const entry = entries[i] ?? 0
      if (entry !== 0) held++
      if (entry === first) alike++
    }
    this.#allocated += held - (this.#held[at] ?? 0)
    this.#held[at] = held
    this.#pages[at] = alike === length ? first : entries
  }
}
