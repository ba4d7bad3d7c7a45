import { INODE_INDEX_END, indexEntryOffset } from '../../src/wire/inode.ts'
import { dataOid, oidText } from '../../src/wire/object-id.ts'
import type { SparseObject } from './sparse-object.ts'

/** Where the reference record of entry `index` stands in an inode: generation, then count. */
function grefOffset(index: number): number {
  return INODE_INDEX_END + 8 * index
}

/** The reference counting that sheep does on index updates and snapshots (docs/sheepdog-protocol.md#5.5). */
export class ModelReferences {
  readonly #ledgers = new Map<string, number[]>()

  /**
   * Writes index entries as a gateway does: drops the references of what they held before. Returns the objects nothing
   * refers to any more.
   */
  update(inode: SparseObject, first: number, vids: readonly number[]): { vid: number; index: number }[] {
    const dropped: { vid: number; index: number }[] = []
    vids.forEach((vid, i) => {
      const index = first + i
      const old = inode.getUint32(indexEntryOffset(index))
      const generation = inode.getUint32(grefOffset(index))
      const count = inode.getUint32(grefOffset(index) + 4)
      inode.setUint32(indexEntryOffset(index), vid)
      inode.write(grefOffset(index), new Uint8Array(8))
      if (old !== 0 && old !== vid && this.#drop(old, index, generation, count)) dropped.push({ vid: old, index })
    })
    return dropped
  }

  /** Entry `index`, if it is mapped, is shared with the child from now on. */
  share(parent: SparseObject, child: SparseObject, index: number): void {
    if (parent.getUint32(indexEntryOffset(index)) === 0) return
    const generation = parent.getUint32(grefOffset(index))
    parent.setUint32(grefOffset(index) + 4, parent.getUint32(grefOffset(index) + 4) + 1)
    child.setUint32(grefOffset(index), generation + 1)
    child.setUint32(grefOffset(index) + 4, 0)
  }

  #drop(vid: number, index: number, generation: number, count: number): boolean {
    if (generation === 0 && count === 0) return true
    const key = oidText(dataOid(vid, index))
    const ledger = this.#ledgers.get(key) ?? [1]
    ledger[generation] = (ledger[generation] ?? 0) - 1
    ledger[generation + 1] = (ledger[generation + 1] ?? 0) + count
    this.#ledgers.set(key, ledger)
    return Array.from(ledger).every((references) => !references)
  }
}
