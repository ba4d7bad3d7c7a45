import { viewOf } from '../../wire/field.ts'
import { FUSE_BUFFER_HEADER_SIZE } from '../../wire/fuse-abi.ts'

/** A piece of memory on loan from a pool. */
export interface PooledBuffer {
  readonly bytes: Uint8Array
  /** The view of all of `bytes`. */
  readonly view: DataView
}

const CLASSES = [4, 16, 64, 256, 1024].map((kilobytes) => kilobytes * 1024 + FUSE_BUFFER_HEADER_SIZE)

/** The largest buffer a pool lends: a WRITE of 1 MiB with its headers. */
export const LARGEST_BUFFER = 1024 * 1024 + FUSE_BUFFER_HEADER_SIZE

/**
 * Memory for what is in flight, kept for reuse, at most `limit` bytes in all. Who has to wait for memory waits for
 * `hasRoom`: then one buffer of any size can be taken.
 */
export class BufferPool {
  readonly #limit: number
  readonly #free: PooledBuffer[][] = CLASSES.map(() => [])
  #lent = 0
  #kept = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Bytes on loan. */
  get lent(): number {
    return this.#lent
  }

  get hasRoom(): boolean {
    return this.#lent + LARGEST_BUFFER <= this.#limit
  }

  /** A buffer of at least `size` bytes with arbitrary content. RangeError above LARGEST_BUFFER. */
  take(size: number): PooledBuffer {
    const index = classOf(size)
    const buffer = this.#free[index]?.pop()
    if (buffer !== undefined) {
      this.#kept -= buffer.bytes.length
      this.#lent += buffer.bytes.length
      return buffer
    }
    const bytes = Buffer.allocUnsafeSlow(CLASSES[index] ?? LARGEST_BUFFER)
    this.#lent += bytes.length
    this.#shrink()
    return { bytes, view: viewOf(bytes) }
  }

  give(buffer: PooledBuffer): void {
    this.#lent -= buffer.bytes.length
    this.#kept += buffer.bytes.length
    this.#free[classOf(buffer.bytes.length)]?.push(buffer)
  }

  /** Forgets kept buffers, the large ones first, until the whole is within the limit again. */
  #shrink(): void {
    for (let index = CLASSES.length - 1; index >= 0; index--) {
      const free = this.#free[index] ?? []
      while (this.#lent + this.#kept > this.#limit && free.length > 0) {
        this.#kept -= free.pop()?.bytes.length ?? 0
      }
    }
  }
}

function classOf(size: number): number {
  for (let index = 0; index < CLASSES.length; index++) if (size <= (CLASSES[index] ?? 0)) return index
  throw new RangeError(`a buffer of ${size} bytes: the largest has ${LARGEST_BUFFER}`)
}
