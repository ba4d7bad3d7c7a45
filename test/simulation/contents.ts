/** Bytes that are written and checked as one: each holds nothing but the number of its write. */
export const UNIT = 256

/** What of a VDI a unit was written, and when. */
interface Write {
  readonly id: number
  readonly begun: number
  ended: number
}

/** Where a write was meant to go. */
export interface Meant {
  readonly contents: Contents
  readonly first: number
  readonly count: number
}

/** When a read was under way; what it shows may be that of any moment in between. */
export interface Span {
  readonly since: number
  readonly until: number
}

/** Numbers for writes, the same for no two in a run; 0 stands for zeros. */
export class WriteIds {
  readonly #meant: Meant[] = []

  next(meant: Meant): number {
    this.#meant.push(meant)
    return this.#meant.length
  }

  meantBy(id: number): Meant | undefined {
    return this.#meant[id - 1]
  }
}

/**
 * What a VDI must read as. Of every unit the writes are kept that a read may still show: those that did not end before
 * another began that has ended. What failed may have happened, or may yet.
 */
export class Contents {
  readonly name: string
  /** Units of an object. */
  readonly objectUnits: number
  readonly #ids: WriteIds
  #units: Write[][]

  constructor(name: string, { units, objectUnits }: { units: number; objectUnits: number }, ids: WriteIds) {
    this.name = name
    this.objectUnits = objectUnits
    this.#ids = ids
    this.#units = Array.from({ length: units }, () => [{ id: 0, begun: -1, ended: -1 }])
  }

  get units(): number {
    return this.#units.length
  }

  /** Grown: what is new reads as zeros. */
  grow(units: number): void {
    while (this.#units.length < units) this.#units.push([{ id: 0, begun: -1, ended: -1 }])
  }

  /** A copy as of now, for a snapshot that is being taken since `since`. */
  copy(name: string): Contents {
    const copy = new Contents(name, { units: 0, objectUnits: this.objectUnits }, this.#ids)
    copy.#units = this.#units.map((writes) => writes.map((write) => ({ ...write })))
    return copy
  }

  /** The bytes of a new write of some units. */
  newWrite(first: number, count: number): { readonly id: number; readonly data: Uint8Array } {
    const id = this.#ids.next({ contents: this, first, count })
    return { id, data: new Uint8Array(new Uint32Array((count * UNIT) / 4).fill(id).buffer) }
  }

  /** Notes that units are being written; the result is called when that was acknowledged. */
  begin(first: number, count: number, id: number, now: number): (now: number) => void {
    const write: Write = { id, begun: now, ended: Infinity }
    for (let unit = first; unit < first + count; unit++) this.#units[unit]?.push(write)
    return (ended) => {
      write.ended = ended
      for (let unit = first; unit < first + count; unit++) this.#forget(unit, write)
    }
  }

  /** What is wrong with bytes read from a unit on; undefined: nothing. */
  wrong(first: number, bytes: Uint8Array, span: Span): { readonly why: string; readonly unit: number } | undefined {
    for (let at = 0; at + UNIT <= bytes.length; at += UNIT) {
      const unit = first + at / UNIT
      const view = new DataView(bytes.buffer, bytes.byteOffset + at, UNIT)
      const id = view.getUint32(0, true)
      for (let word = 4; word < UNIT; word += 4) {
        if (view.getUint32(word, true) === id) continue
        return { why: `unit ${unit} of ${this.name} is torn: ${id} and others`, unit }
      }
      const why = this.#whyNot(unit, id, span)
      if (why !== undefined) return { why, unit }
    }
    return undefined
  }

  #whyNot(unit: number, id: number, { since, until }: Span): string | undefined {
    const writes = this.#units[unit] ?? []
    const isShown = writes.some(
      (write) =>
        write.id === id &&
        write.begun <= until &&
        !writes.some((later) => later.begun > write.ended && later.ended < since),
    )
    if (isShown) return undefined
    const expected = writes.filter(({ ended }) => ended >= since || !writes.some((later) => later.begun > ended))
    const texts = new Set(
      expected.map((write) => `${write.id} (${write.begun.toFixed(1)} to ${write.ended.toFixed(1)})`),
    )
    return `unit ${unit} of ${this.name} is ${this.#origin(unit, id)}: expected ${[...texts].join(' or ')}`
  }

  #origin(unit: number, id: number): string {
    const meant = this.#ids.meantBy(id)
    if (id === 0) return 'zeros'
    if (!meant) return `foreign ${id}`
    if (meant.contents !== this) return `foreign ${id} of ${meant.contents.name}`
    return unit >= meant.first && unit < meant.first + meant.count ? `old ${id}` : `foreign ${id} of another unit`
  }

  /** What no read that begins from now on may show. Reads under way are of the last seconds: those are kept. */
  #forget(unit: number, ended: Write): void {
    const writes = this.#units[unit]
    if (!writes || writes.length < 24) return
    const kept = writes.filter((write) => write.ended >= ended.begun - 200_000)
    if (kept.length < writes.length) this.#units[unit] = kept
  }
}
