const NEWLINE = 0x0a

/** Takes what another process has written apart into lines; of a long one it keeps the beginning. */
export class LineReader {
  readonly #line: Buffer
  #length = 0
  #isOpen = false

  /** `mostBytes`: kept of a line. */
  constructor(mostBytes: number) {
    this.#line = Buffer.alloc(mostBytes)
  }

  /** The lines that these bytes complete. */
  *push(bytes: Buffer): Generator<string> {
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(NEWLINE, at)
      const stop = end === -1 ? bytes.length : end
      this.#length += bytes.copy(this.#line, this.#length, at, stop)
      this.#isOpen = true
      at = stop + 1
      if (end !== -1) yield* this.end()
    }
  }

  /** The line that nothing more comes for, where there is one. */
  *end(): Generator<string> {
    if (!this.#isOpen) return
    const line = this.#line.toString('utf8', 0, this.#length)
    this.#length = 0
    this.#isOpen = false
    yield line
  }
}
