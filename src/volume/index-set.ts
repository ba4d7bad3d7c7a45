/** Indexes of one page. */
const PAGE = 8192

/** A set of object indexes: a bit each, in pages that have one. */
export class IndexSet {
  readonly #pages = new Map<number, { readonly bits: Uint8Array; count: number }>()
  #size = 0

  get size(): number {
    return this.#size
  }

  has(index: number): boolean {
    const bits = this.#pages.get(Math.floor(index / PAGE))?.bits
    return bits !== undefined && ((bits[(index % PAGE) >> 3] ?? 0) & (1 << (index & 7))) !== 0
  }

  add(index: number): void {
    if (this.has(index)) return
    const at = Math.floor(index / PAGE)
    const page = this.#pages.get(at) ?? { bits: new Uint8Array(PAGE / 8), count: 0 }
    this.#pages.set(at, page)
    this.#flip(page, index, 1)
  }

  /** False when it was not there. */
  delete(index: number): boolean {
    const at = Math.floor(index / PAGE)
    const page = this.#pages.get(at)
    if (page === undefined || !this.has(index)) return false
    this.#flip(page, index, -1)
    if (page.count === 0) this.#pages.delete(at)
    return true
  }

  /** In no order; what is deleted meanwhile may come or not. */
  *all(): Generator<number> {
    for (const [at, { bits }] of this.#pages) {
      for (const [place, byte] of bits.entries()) {
        for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) yield at * PAGE + 8 * place + bit
      }
    }
  }

  clear(): void {
    this.#pages.clear()
    this.#size = 0
  }

  #flip(page: { readonly bits: Uint8Array; count: number }, index: number, by: 1 | -1): void {
    const at = (index % PAGE) >> 3
    page.bits[at] = (page.bits[at] ?? 0) ^ (1 << (index & 7))
    page.count += by
    this.#size += by
  }
}

/** Of more runs than this, those are left out in which nothing is any more. */
const FEW_RUNS = 1024

/** Object indexes in the order in which they were added: runs of them, of which some may have gone. */
export class IndexQueue {
  readonly #present = new IndexSet()
  #runs: { first: number; end: number }[] = []

  has(index: number): boolean {
    return this.#present.has(index)
  }

  add(index: number): void {
    if (this.#present.has(index)) return
    this.#present.add(index)
    this.#append(index)
  }

  /** False when it was not there. */
  delete(index: number): boolean {
    return this.#present.delete(index)
  }

  get size(): number {
    return this.#present.size
  }

  /** As of an `IndexSet`. */
  all(): Generator<number> {
    return this.#present.all()
  }

  /** The one that was added first; undefined when there is none. */
  first(): number | undefined {
    for (let [run] = this.#runs; run !== undefined; [run] = this.#runs) {
      for (; run.first < run.end; run.first++) if (this.#present.has(run.first)) return run.first
      this.#runs.shift()
    }
    return undefined
  }

  /** The first becomes the last; nothing when it is not the first any more. */
  putLast(first: number): void {
    if (this.first() !== first) return
    const [run] = this.#runs
    if (run) run.first++
    this.#append(first)
  }

  clear(): void {
    this.#present.clear()
    this.#runs = []
  }

  #append(index: number): void {
    const last = this.#runs.at(-1)
    if (last?.end === index) last.end++
    else this.#runs.push({ first: index, end: index + 1 })
    if (this.#runs.length > FEW_RUNS && this.#runs.length > 2 * this.#present.size) this.#shorten()
  }

  #shorten(): void {
    const runs = this.#runs
    const seen = new IndexSet()
    this.#runs = []
    for (const { first, end } of runs) {
      for (let index = first; index < end; index++) {
        if (!this.#present.has(index) || seen.has(index)) continue
        seen.add(index)
        const last = this.#runs.at(-1)
        if (last?.end === index) last.end++
        else this.#runs.push({ first: index, end: index + 1 })
      }
    }
  }
}
