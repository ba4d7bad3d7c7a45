import { INODE_HEADER_SIZE } from '../../src/wire/inode.ts'
import { kindOf, oidText, type ObjectId } from '../../src/wire/object-id.ts'
import type { SparseObject } from './sparse-object.ts'

/** Entries of an index that a model's VDI may have. */
const MOST_ENTRIES = 64

export type RecoveryPhase = 'none' | 'listing' | 'fetching'

/**
 * What sheepdog 1.0 does to objects when nodes came or went: the first access to one fetches it, and so does another fetch
 * that ends later and undoes what was written meanwhile.
 */
export class ModelRecovery {
  readonly #objects: Map<string, SparseObject>
  #unrecovered = new Set<string>()
  #phase: RecoveryPhase = 'none'
  #lateFetches = 0
  #round = 0
  #lateMs: () => number = () => 0

  constructor(objects: Map<string, SparseObject>) {
    this.#objects = objects
  }

  get phase(): RecoveryPhase {
    return this.#phase
  }

  /** Nothing is fetched any more, nor undone by a late fetch. */
  get isOver(): boolean {
    return this.#phase === 'none' && this.#lateFetches === 0
  }

  /**
   * Objects that `hasMoved` are to be fetched. `durationMs`: until those are that nobody has asked for; `lateMs`: for each
   * second fetch.
   */
  begin(hasMoved: (oid: ObjectId) => boolean, durationMs: number, lateMs: () => number): void {
    const round = ++this.#round
    for (const key of this.#objects.keys()) if (hasMoved(toOid(key))) this.#unrecovered.add(key)
    this.#lateMs = lateMs
    this.#phase = 'listing'
    const at = (ms: number, phase: RecoveryPhase): void => {
      setTimeout(() => {
        if (round !== this.#round) return
        this.#phase = phase
        if (phase === 'none') this.#unrecovered.clear()
      }, ms).unref()
    }
    at(durationMs / 3, 'fetching')
    at(durationMs, 'none')
  }

  /** An object is about to be read or written. */
  touch(oid: ObjectId): void {
    const key = oidText(oid)
    if (!this.#unrecovered.delete(key)) return
    const fetched = this.#objects.get(key)?.clone()
    if (!fetched) return
    this.#lateFetches++
    setTimeout(() => {
      this.#lateFetches--
      if (kindOf(oid) === 'inode') this.#undoNewEntries(key, fetched)
      else this.#objects.set(key, fetched)
    }, this.#lateMs()).unref()
  }

  /** No more of an inode: what an update has done to reference counts, and a snapshot to the inode, stays done in a model. */
  #undoNewEntries(key: string, fetched: SparseObject): void {
    const inode = this.#objects.get(key)
    for (let at = INODE_HEADER_SIZE; at < INODE_HEADER_SIZE + 4 * MOST_ENTRIES; at += 4) {
      if (fetched.getUint32(at) === 0) inode?.setUint32(at, 0)
    }
  }
}

/** The inverse of `oidText`. */
function toOid(key: string): ObjectId {
  return { high: parseInt(key.slice(0, 8), 16), index: parseInt(key.slice(8), 16) }
}
