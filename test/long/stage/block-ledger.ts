import { Random } from '../../sheep/random.ts'

const BLOCK = 4096
const PART = 2 ** 20

/** Where blocks are kept. Both resolve when it is done, and not with an error. */
export interface BlockStore {
  read(position: number, into: Uint8Array): Promise<unknown>
  write(position: number, data: Uint8Array): Promise<unknown>
}

/** Blocks that are full of their version, and which version of each was acknowledged. */
export class BlockLedger {
  readonly #acknowledged: Uint32Array
  #version = 0

  constructor(size: number) {
    this.#acknowledged = new Uint32Array(size / BLOCK)
  }

  get writes(): number {
    return this.#version
  }

  /** Writes all blocks once. */
  async fill(store: BlockStore): Promise<void> {
    const data = Buffer.alloc(PART)
    const version = ++this.#version
    for (let at = 0; at < PART; at += 4) data.writeUInt32LE(version, at)
    for (let position = 0; position < this.#acknowledged.length * BLOCK; position += PART)
      await store.write(position, data)
    this.#acknowledged.fill(version)
  }

  /**
   * Overwrites blocks at random, several at a time and no block twice at a time, until it is told to stop; each writer only those at
   * positions that are meant for it.
   */
  async overwrite(
    store: BlockStore,
    seed: number,
    stop: AbortSignal,
    {
      writers = 8,
      isMeant = () => true,
    }: { writers?: number; isMeant?: (position: number, writer: number) => boolean } = {},
  ): Promise<void> {
    const writer = async (own: number): Promise<void> => {
      const random = new Random(seed * writers + own)
      while (!stop.aborted) {
        const block = random.below(this.#acknowledged.length / writers) * writers + own
        if (!isMeant(block * BLOCK, own)) continue
        const version = ++this.#version
        await store.write(block * BLOCK, Buffer.from(new Uint32Array(BLOCK / 4).fill(version).buffer))
        this.#acknowledged[block] = version
      }
    }
    await Promise.all(Array.from({ length: writers }, (_, own) => writer(own)))
  }

  /** How many blocks are not as they were acknowledged last. Nobody writes meanwhile. */
  async wrong(store: BlockStore): Promise<number> {
    let wrong = 0
    const into = Buffer.alloc(PART)
    for (let position = 0; position < this.#acknowledged.length * BLOCK; position += PART) {
      await store.read(position, into)
      for (let at = 0; at < PART; at += BLOCK) {
        const words = new Uint32Array(into.buffer, into.byteOffset + at, BLOCK / 4)
        const version = this.#acknowledged[(position + at) / BLOCK]
        if (!words.every((word) => word === version)) wrong++
      }
    }
    return wrong
  }
}
