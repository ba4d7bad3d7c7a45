interface SharedWrite {
  readonly start: number
  readonly end: number
  readonly value: number
  readonly begun: number
  ended: number
}

/**
 * A range that several write to at the same time: afterwards each byte must have a value that some order of the writes
 * explains, so not one of a write that ended before a later write of the byte began.
 */
export class SharedBytes {
  readonly #writes: SharedWrite[] = []
  #clock = 0

  /** Notes a write of one value to a range; the result is called when it has been acknowledged. */
  begin(start: number, end: number, value: number): () => void {
    const write: SharedWrite = { start, end, value, begun: this.#clock++, ended: Infinity }
    this.#writes.push(write)
    return () => {
      write.ended = this.#clock++
    }
  }

  /** The first byte of `content`, whose positions are those of the writes, that no order explains. */
  firstWrong(content: Uint8Array, start: number, end: number): string | undefined {
    for (let at = start; at < end; at++) {
      const here = this.#writes.filter((write) => write.start <= at && at < write.end)
      const last = here.filter((write) => !here.some((later) => later.begun > write.ended))
      const isExplained = here.length === 0 ? content[at] === 0 : last.some(({ value }) => value === content[at])
      if (!isExplained) return `byte ${at} is ${content[at]}: expected ${last.map(({ value }) => value).join(' or ')}`
    }
    return undefined
  }
}
