import { INODE_HEADER_SIZE, INODE_INDEX_END, indexEntryOffset } from '../wire/inode.ts'
import { dataOid, inodeOid, ledgerOid, type ObjectId } from '../wire/object-id.ts'
import { viewOf } from '../wire/field.ts'
import type { Clock, Timer } from '../clock.ts'
import type { ObjectStore } from './object-store.ts'

/** Bytes of a ledger object: a sparse array of i32. */
export const LEDGER_SIZE = 4 << 20

/** One reference to drop: `vid` stood at `index`, with these values of its gref record. */
interface Dereference {
  readonly vid: number
  readonly index: number
  readonly generation: number
  readonly count: number
}

/** True for a write that sheep takes for an index update: it lies wholly in the array. */
export function isIndexRange(offset: number, length: number): boolean {
  return offset >= INODE_HEADER_SIZE && offset + length <= INODE_INDEX_END && length > 0
}

/**
 * Generation reference counting of data objects, as the gateway of a sheep does it on every index update
 * (docs/sheepdog-protocol.md#5.5). Objects that lost their last reference are removed later, in the background.
 */
export class References {
  readonly #store: ObjectStore
  readonly #clock: Clock
  readonly #delayMs: () => number
  readonly #queue: Dereference[] = []
  #timer: Timer | undefined

  constructor(store: ObjectStore, clock: Clock, delayMs: () => number) {
    this.#store = store
    this.#clock = clock
    this.#delayMs = delayMs
  }

  /**
   * Writes index entries. The references of all entries in the range become zero, also of those that did not change; this
   * is what a real sheep does, and how it loses the data of snapshots when a client rewrites entries. False when there is
   * no such inode.
   */
  updateIndex(vid: number, offset: number, data: Uint8Array): boolean {
    const first = Math.floor((offset - INODE_HEADER_SIZE) / 4)
    const count = Math.ceil((offset + data.length - INODE_HEADER_SIZE) / 4) - first
    const inode = inodeOid(vid)
    const before = new Uint8Array(4 * count)
    const after = new Uint8Array(4 * count)
    const records = new Uint8Array(8 * count)
    const recordsAt = INODE_INDEX_END + 8 * first
    if (!this.#store.read(inode, indexEntryOffset(first), before)) return false
    this.#store.read(inode, recordsAt, records)
    this.#store.write(inode, offset, data)
    if (records.some((byte) => byte !== 0)) this.#store.write(inode, recordsAt, new Uint8Array(records.length))
    this.#store.read(inode, indexEntryOffset(first), after)
    this.#enqueue(first, viewOf(before), viewOf(after), viewOf(records))
    return true
  }

  /** Whether nothing is waiting. */
  get isIdle(): boolean {
    return this.#queue.length === 0
  }

  /** Whether a reference of the object is waiting to be dropped. */
  isWaiting(vid: number, index: number): boolean {
    return this.#queue.some((reference) => reference.vid === vid && reference.index === index)
  }

  /** Does at once what is waiting. */
  drain(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const reference of this.#queue.splice(0)) this.#drop(reference)
  }

  #enqueue(first: number, before: DataView, after: DataView, records: DataView): void {
    for (let at = 0; at < before.byteLength; at += 4) {
      const vid = before.getUint32(at, true)
      if (vid === 0 || vid === after.getUint32(at, true)) continue
      const generation = records.getInt32(2 * at, true)
      const count = records.getInt32(2 * at + 4, true)
      this.#queue.push({ vid, index: first + at / 4, generation, count })
    }
    if (this.#queue.length === 0) return
    this.#timer ??= this.#clock.after(this.#delayMs(), () => {
      this.drain()
    })
  }

  #drop(reference: Dereference): void {
    const { vid, index, generation, count } = reference
    if (generation === 0 && count === 0) {
      this.#store.remove(dataOid(vid, index))
    } else if (this.#decrement(ledgerOid(vid, index), generation, count)) {
      this.#store.remove(ledgerOid(vid, index))
      this.#store.remove(dataOid(vid, index))
    }
  }

  /** True when nothing refers to the object any more. */
  #decrement(ledger: ObjectId, generation: number, count: number): boolean {
    const used = Math.max(this.#store.usedBefore(ledger, LEDGER_SIZE), 4 * generation + 8)
    const counts = new Int32Array(Math.ceil(used / 4))
    const bytes = new Uint8Array(counts.buffer)
    const exists = this.#store.read(ledger, 0, bytes)
    if (!exists) counts[0] = 1
    counts[generation] = (counts[generation] ?? 0) - 1
    counts[generation + 1] = (counts[generation + 1] ?? 0) + count
    const changed = bytes.subarray(4 * generation, 4 * generation + 8)
    if (exists) this.#store.write(ledger, 4 * generation, changed)
    else this.#store.create(ledger, LEDGER_SIZE, { offset: 0, data: bytes.subarray(0, 4 * generation + 8) })
    return counts.every((value) => value === 0)
  }
}
