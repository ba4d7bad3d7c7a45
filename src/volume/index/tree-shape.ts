import { MAX_INDIRECT_ENTRIES, type BtreeNode, type LeafEntries, type LeafRef } from '../../wire/btree.ts'
import { countOf, placeOf, sliceEntries } from './leaf-entries.ts'

/** With how many entries a node is split when it gets another. One of Sheepdog's own may have more. */
export interface Capacity {
  /** Of a root without leaves. */
  readonly root: number
  readonly leaf: number
  readonly indirect: number
}

/**
 * Far less than the nodes take. An insert moves the entries behind it, and then their count is another: in one write, or else who
 * reads in between, or comes after a writer that died, would miss an entry. That write is half a MiB at most, of the root 128 KiB.
 */
export const CAPACITY: Capacity = { root: 2 ** 14, leaf: 2 ** 16, indirect: MAX_INDIRECT_ENTRIES }

/** The index of a hyper volume without its leaves. */
export interface Tree {
  readonly vid: number
  readonly root: BtreeNode
  /** The number of the next leaf object. */
  readonly nextNumber: number
}

/** A leaf in memory. */
export interface Leaf {
  readonly entries: LeafEntries
  /** False when the object also has entries that do not count, or may be another on some replicas: places may differ. */
  readonly isAsStored: boolean
}

/** The position of the leaf that has the entry of `index`, or would; the number of leaves when none reaches that far. */
export function leafPosition(leaves: readonly LeafRef[], index: number): number {
  let low = 0
  let high = leaves.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((leaves[middle]?.last ?? 0) < index) low = middle + 1
    else high = middle
  }
  return low
}

/** The position of the leaf that a change of `index` goes to: past the last index that is the last leaf. */
export function positionToChange(leaves: readonly LeafRef[], index: number): number {
  return Math.min(leafPosition(leaves, index), leaves.length - 1)
}

/**
 * The part of a stored leaf that counts: indices above `floor`, the last of the leaf before, up to its own last. The rest is
 * left from an update that did not come to its end.
 */
export function leafInBounds(stored: LeafEntries, floor: number, last: number): Leaf {
  const from = placeOf(stored, floor + 1)
  const to = placeOf(stored, last + 1)
  const isAsStored = from === 0 && to === countOf(stored)
  return { entries: isAsStored ? stored : sliceEntries(stored, from, to), isAsStored }
}
