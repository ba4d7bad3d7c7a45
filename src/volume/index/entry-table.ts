import type { IndexMemory, IndexPart } from './index-memory.ts'

const PAGE_SHIFT = 10
/** Entries that are read and kept together: 4 KiB of the inode. */
const PAGE = 2 ** PAGE_SHIFT
/** Entries that are read together at first: 256 KiB. */
const PIECE = 64 * PAGE

interface Page extends IndexPart {
  readonly entries: Uint32Array
}

interface Load {
  readonly entries: Promise<Uint32Array>
  /** What was set since it began. */
  readonly changes: Map<number, number>
}

type ReadEntries = (first: number, count: number) => Promise<Uint32Array>

/**
 * The entries of an array index. Of a page whose entries are alike, as of a volume that is empty or not shared, only that one
 * number is kept; others are forgotten when there is no room, and read again.
 */
export class EntryTable {
  readonly #read: ReadEntries
  readonly #memory: IndexMemory
  /** A number is all of its entries; undefined: to be read. */
  readonly #pages: (Page | number | undefined)[] = []
  /** Entries of each page that are not 0. */
  readonly #held: number[] = []
  /** Pages of which that may be wrong by now. */
  readonly #uncounted = new Set<number>()
  readonly #loads = new Map<number, Load>()
  #count = 0
  #allocated = 0

  private constructor(read: ReadEntries, memory: IndexMemory) {
    this.#read = read
    this.#memory = memory
  }

  /** Reads `count` entries. Errors: those of the read. */
  static async load(count: number, from: { read: ReadEntries; memory: IndexMemory }): Promise<EntryTable> {
    const table = new EntryTable(from.read, from.memory)
    table.grow(count)
    for (let first = 0; first < count; first += PIECE) {
      const entries = await from.read(first, Math.min(PIECE, count - first))
      for (let at = 0; at < entries.length; at += PAGE) {
        table.#keep((first + at) / PAGE, entries.subarray(at, at + PAGE))
      }
    }
    return table
  }

  get count(): number {
    return this.#count
  }

  /** Entries that are not 0. */
  get allocated(): number {
    return this.#allocated
  }

  /** 0 past the end. Errors: those of the read. */
  get(index: number): number | Promise<number> {
    if (index >= this.#count) return 0
    const at = index >>> PAGE_SHIFT
    const page = this.#pages[at]
    if (typeof page === 'number') return page
    if (page === undefined) return this.#load(at).then((entries) => entries[index % PAGE] ?? 0)
    page.isUsed = true
    return page.entries[index % PAGE] ?? 0
  }

  /** The cluster has it. */
  set(index: number, vid: number): void {
    const at = index >>> PAGE_SHIFT
    const page = this.#pages[at]
    this.#loads.get(at)?.changes.set(index, vid)
    if (page === undefined) {
      this.#uncounted.add(at)
      this.#load(at).catch(() => undefined) // who needs the entry is told
      return
    }
    if (page === vid) return
    const entries = this.#entriesOf(at, page)
    const isMore = Number(vid !== 0) - Number(entries[index % PAGE] !== 0)
    const held = (this.#held[at] ?? 0) + isMore
    entries[index % PAGE] = vid
    const isMixed = held > 0 && held < this.#lengthOf(at)
    if (typeof page === 'number' || !isMixed) {
      this.#keep(at, entries)
      return
    }
    this.#held[at] = held
    this.#allocated += isMore
  }

  /** The first index from `from` on whose entry is not 0 (data) or is (hole); `count` when there is none. */
  next(from: number, wanted: 'data' | 'hole'): number | Promise<number> {
    for (let at = from >>> PAGE_SHIFT, start = from; start < this.#count; at++, start = at * PAGE) {
      const held = this.#held[at] ?? 0
      const found = wanted === 'data' ? held : this.#lengthOf(at) - held
      const isCounted = !this.#uncounted.has(at)
      if (isCounted && found === 0) continue
      if (isCounted && found === this.#lengthOf(at)) return start
      const page = this.#pages[at]
      if (page === undefined) return this.#load(at).then((entries) => this.#nextFrom(entries, start, wanted))
      const index = this.#nextIn(this.#entriesOf(at, page), start, wanted)
      if (index !== undefined) return index
    }
    return this.#count
  }

  /** Reads entries again that may have changed. Errors: those of the read. */
  async reread(first: number, count: number): Promise<void> {
    const pages: number[] = []
    for (let at = first >>> PAGE_SHIFT; at * PAGE < Math.min(first + count, this.#count); at++) pages.push(at)
    await Promise.all(pages.map((at) => this.#begin(at)))
  }

  /** The new ones are 0. */
  grow(count: number): void {
    const last = this.#pages.length - 1
    const page = this.#pages[last]
    const entries = page === undefined ? undefined : this.#entriesOf(last, page)
    this.#count = Math.max(count, this.#count)
    for (let at = last + 1; at * PAGE < this.#count; at++) {
      this.#pages.push(0)
      this.#held.push(0)
    }
    if (entries) this.#keep(last, entries)
  }

  /** A copy, unless the page has entries of its own. */
  #entriesOf(at: number, page: Page | number): Uint32Array {
    return typeof page === 'number' ? new Uint32Array(PAGE).fill(page, 0, this.#lengthOf(at)) : page.entries
  }

  #lengthOf(at: number): number {
    return Math.min(PAGE, this.#count - at * PAGE)
  }

  async #nextFrom(entries: Uint32Array, start: number, wanted: 'data' | 'hole'): Promise<number> {
    const end = (Math.floor(start / PAGE) + 1) * PAGE
    return this.#nextIn(entries, start, wanted) ?? (await this.next(end, wanted))
  }

  #nextIn(entries: Uint32Array, start: number, wanted: 'data' | 'hole'): number | undefined {
    const end = Math.min((Math.floor(start / PAGE) + 1) * PAGE, this.#count)
    for (let index = start; index < end; index++) {
      if ((entries[index % PAGE] !== 0) === (wanted === 'data')) return index
    }
    return undefined
  }

  #load(at: number): Promise<Uint32Array> {
    return this.#loads.get(at)?.entries ?? this.#begin(at)
  }

  #begin(at: number): Promise<Uint32Array> {
    const changes = new Map<number, number>()
    const reading = this.#read(at * PAGE, this.#lengthOf(at)).then((read) => {
      const entries = new Uint32Array(PAGE)
      entries.set(read)
      for (const [index, vid] of changes) entries[index % PAGE] = vid
      if (this.#loads.get(at) === load) this.#keep(at, entries)
      return entries
    })
    const load: Load = {
      changes,
      entries: reading.finally(() => {
        if (this.#loads.get(at) === load) this.#loads.delete(at)
      }),
    }
    this.#loads.set(at, load)
    return load.entries
  }

  /** Takes entries for a page, all or the first of it. */
  #keep(at: number, given: Uint32Array): void {
    const length = this.#lengthOf(at)
    const before = this.#pages[at]
    const [first = 0] = given
    let held = 0
    let alike = 0
    for (let i = 0; i < length; i++) {
      const entry = given[i] ?? 0
      if (entry !== 0) held++
      if (entry === first) alike++
    }
    this.#allocated += held - (this.#held[at] ?? 0)
    this.#held[at] = held
    this.#uncounted.delete(at)
    if (typeof before === 'object') {
      if (before.entries === given && alike < length) return
      this.#memory.remove(before)
    }
    if (alike === length) this.#pages[at] = first
    else this.#hold(at, given)
  }

  #hold(at: number, given: Uint32Array): void {
    const isOwn = given.buffer.byteLength === 4 * PAGE
    const entries = isOwn ? given : new Uint32Array(PAGE)
    if (!isOwn) entries.set(given.subarray(0, PAGE))
    const drop = (): boolean => {
      if (this.#pages[at] === page) this.#pages[at] = undefined
      return true
    }
    const page: Page = { entries, bytes: entries.byteLength, isUsed: false, drop }
    this.#pages[at] = page
    this.#memory.add(page)
  }
}
