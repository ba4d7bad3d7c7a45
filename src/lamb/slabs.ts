import { viewOf } from '../wire/field.ts'

const SLAB_SIZE = 1 << 20
/** Room beside a whole MiB of payload, for the header. */
const SLAB_MARGIN = 4096
const MAX_FREE_BYTES = 64 << 20

interface Slab {
  readonly memory: Buffer
  readonly view: DataView
  used: number
  live: number
}

/** A piece of slab memory; valid until it is released. */
export interface Block {
  readonly slab: Slab
  readonly start: number
  readonly length: number
}

/** The bytes of a block, not a copy. */
export function bytesOf(block: Block): Buffer {
  return block.slab.memory.subarray(block.start, block.start + block.length)
}

/**
 * Memory for payloads and answers. Pieces are cut one after the other from slabs, so that the answers of a batch lie side
 * by side and leave in one write; a slab is used again when all its pieces are released, so that it stays in the caches.
 */
export class Slabs {
  #current: Slab = newSlab(SLAB_SIZE + SLAB_MARGIN)
  readonly #free = new Map<number, Slab[]>()
  #freeBytes = 0

  take(length: number): Block {
    const slab = length > SLAB_SIZE / 4 ? this.#reuse(length) : this.#roomFor(length)
    const start = slab.used
    slab.used += length
    slab.live++
    return { slab, start, length }
  }

  /** Gives a block back. Its bytes may change from here on. */
  release(block: Block): void {
    const { slab } = block
    slab.live--
    if (slab.live > 0) return
    slab.used = 0
    if (slab !== this.#current) this.#keep(slab)
  }

  #roomFor(length: number): Slab {
    if (this.#current.used + length > this.#current.memory.length) {
      this.#current = this.#reuse(SLAB_SIZE)
    }
    return this.#current
  }

  #reuse(length: number): Slab {
    const size = Math.ceil(Math.max(1, length - SLAB_MARGIN) / SLAB_SIZE) * SLAB_SIZE + SLAB_MARGIN
    const slab = this.#free.get(size)?.pop()
    if (!slab) return newSlab(size)
    this.#freeBytes -= size
    return slab
  }

  #keep(slab: Slab): void {
    const size = slab.memory.length
    if (this.#freeBytes + size > MAX_FREE_BYTES) return
    this.#freeBytes += size
    const list = this.#free.get(size)
    if (list) list.push(slab)
    else this.#free.set(size, [slab])
  }
}

function newSlab(size: number): Slab {
  const memory = Buffer.allocUnsafeSlow(size)
  return { memory, view: viewOf(memory), used: 0, live: 0 }
}
