import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Faults } from './faults.ts'
import { bytesOf, type Block, type Slabs } from './slabs.ts'

/** Neighbouring blocks that leave in one write. */
interface Region {
  readonly first: Block
  length: number
  readonly blocks: Block[]
}

/** Answers on their way to a socket: blocks that lie side by side are joined. Releases every block once it has left. */
export class Outbox {
  readonly #socket: Socket
  readonly #slabs: Slabs
  readonly #faults: Faults
  #regions: Region[] = []
  #dripping: Promise<void> | undefined

  constructor(socket: Socket, slabs: Slabs, faults: Faults) {
    this.#socket = socket
    this.#slabs = slabs
    this.#faults = faults
  }

  push(block: Block): void {
    const last = this.#regions.at(-1)
    if (last?.first.slab === block.slab && last.first.start + last.length === block.start) {
      last.length += block.length
      last.blocks.push(block)
    } else {
      this.#regions.push({ first: block, length: block.length, blocks: [block] })
    }
  }

  /** Sends what was pushed. */
  flush(): void {
    const regions = this.#regions
    if (regions.length === 0) return
    this.#regions = []
    if (this.#faults.pieceBytes > 0 || this.#dripping) {
      const drip = (this.#dripping ?? Promise.resolve()).then(() => this.#drip(regions))
      this.#dripping = drip
      return
    }
    if (regions.length > 1) this.#socket.cork()
    for (const region of regions) {
      this.#socket.write(bytesOf({ ...region.first, length: region.length }), () => {
        this.#release(region)
      })
    }
    if (regions.length > 1) this.#socket.uncork()
  }

  async #drip(regions: readonly Region[]): Promise<void> {
    for (const region of regions) {
      const bytes = bytesOf({ ...region.first, length: region.length })
      const step = this.#faults.pieceBytes || bytes.length
      for (let at = 0; at < bytes.length && !this.#socket.destroyed; at += step) {
        await new Promise<void>((resolve) => {
          this.#socket.write(bytes.subarray(at, at + step), () => {
            resolve()
          })
        })
        await sleep(this.#faults.pieceDelayMs)
      }
      this.#release(region)
    }
  }

  #release(region: Region): void {
    for (const block of region.blocks) this.#slabs.release(block)
  }
}
