const CHUNK_SIZE = 1024
const ZEROS = new Uint8Array(CHUNK_SIZE)

/**
 * The bytes of an object, of which only those that were written take memory; the rest is zeros. A chunk never changes once
 * it is there, so that a clone costs nothing.
 */
export class StoredObject {
  readonly #chunks: Map<number, Uint8Array>

  constructor(chunks = new Map<number, Uint8Array>()) {
    this.#chunks = chunks
  }

  clone(): StoredObject {
    return new StoredObject(new Map(this.#chunks))
  }

  read(offset: number, into: Uint8Array, at = 0, length = into.length): void {
    for (let done = 0; done < length;) {
      const { chunk, start, count } = piece(offset + done, length - done)
      const stored = this.#chunks.get(chunk) ?? ZEROS
      into.set(stored.subarray(start, start + count), at + done)
      done += count
    }
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const { chunk, start, count } = piece(offset + done, bytes.length - done)
      const changed = (this.#chunks.get(chunk) ?? ZEROS).slice()
      changed.set(bytes.subarray(done, done + count), start)
      this.#chunks.set(chunk, changed)
      done += count
    }
  }

  /** From here on all is zero, up to `limit`. */
  usedBefore(limit: number): number {
    let used = 0
    for (const [chunk, bytes] of this.#chunks) {
      const start = chunk * CHUNK_SIZE
      let end = Math.min(start + CHUNK_SIZE, limit)
      while (end > start && end > used && bytes[end - 1 - start] === 0) end--
      if (end > start) used = Math.max(used, end)
    }
    return used
  }

  equals(other: StoredObject): boolean {
    for (const chunk of new Set([...this.#chunks.keys(), ...other.#chunks.keys()])) {
      const [a, b] = [this.#chunks.get(chunk) ?? ZEROS, other.#chunks.get(chunk) ?? ZEROS]
      if (a !== b && Buffer.compare(a, b) !== 0) return false
    }
    return true
  }
}

function piece(position: number, rest: number): { chunk: number; start: number; count: number } {
  const start = position % CHUNK_SIZE
  return { chunk: Math.floor(position / CHUNK_SIZE), start, count: Math.min(rest, CHUNK_SIZE - start) }
}
