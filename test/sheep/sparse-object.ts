const CHUNK_SIZE = 4096

/** The bytes of an object, of which only those that were written take memory; the rest reads as zeros. */
export class SparseObject {
  readonly #chunks: Map<number, Uint8Array>

  constructor(chunks = new Map<number, Uint8Array>()) {
    this.#chunks = chunks
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length;) {
      const { chunk, start, count } = this.#piece(offset + at, length - at)
      const stored = this.#chunks.get(chunk)
      if (stored) bytes.set(stored.subarray(start, start + count), at)
      at += count
    }
    return bytes
  }

  write(offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const { chunk, start, count } = this.#piece(offset + at, bytes.length - at)
      let stored = this.#chunks.get(chunk)
      if (!stored) this.#chunks.set(chunk, (stored = new Uint8Array(CHUNK_SIZE)))
      stored.set(bytes.subarray(at, at + count), start)
      at += count
    }
  }

  clone(): SparseObject {
    return new SparseObject(new Map(Array.from(this.#chunks, ([chunk, stored]) => [chunk, stored.slice()])))
  }

  getUint32(offset: number): number {
    return new DataView(this.read(offset, 4).buffer).getUint32(0, true)
  }

  setUint32(offset: number, value: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, value, true)
    this.write(offset, bytes)
  }

  #piece(position: number, rest: number): { chunk: number; start: number; count: number } {
    const start = position % CHUNK_SIZE
    return { chunk: Math.floor(position / CHUNK_SIZE), start, count: Math.min(rest, CHUNK_SIZE - start) }
  }
}
