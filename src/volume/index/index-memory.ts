/** A part of an index that is in memory. */
export interface IndexPart {
  readonly bytes: number
  /** Set by whoever uses it. */
  isUsed: boolean
  /** Makes its owner forget it; false: it is needed. */
  readonly drop: () => boolean
}

/**
 * The parts of all indexes of a process: those that were not used for longest make room for others, and are read again when
 * they are needed. Of what is used by nobody any more, as the index of a detached volume, nobody has to tell.
 */
export class IndexMemory {
  readonly #limit: number
  /** In the order in which they are looked at. */
  readonly #parts = new Set<IndexPart>()
  #bytes = 0

  /** `limit`: bytes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  add(part: IndexPart): void {
    this.#parts.add(part)
    this.#bytes += part.bytes
    this.trim()
  }

  /** Its owner has forgotten it. */
  remove(part: IndexPart): void {
    if (this.#parts.delete(part)) this.#bytes -= part.bytes
  }

  /** Something may have come to be needed no more. Twice round: once to see who is used. */
  trim(): void {
    for (let looks = 2 * this.#parts.size; looks > 0 && this.#bytes > this.#limit; looks--) {
      const [part] = this.#parts
      if (part === undefined) return
      this.#parts.delete(part)
      const isDropped = !part.isUsed && part.drop()
      part.isUsed = false
      if (isDropped) this.#bytes -= part.bytes
      else this.#parts.add(part)
    }
  }
}

/** Of this process: the leaves of 16 TiB. */
export const INDEX_MEMORY = new IndexMemory(32 * 1024 * 1024)
