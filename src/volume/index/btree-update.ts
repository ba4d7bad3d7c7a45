import { SheepfsError } from '../../errors.ts'
import type { BtreeNode, LeafEntries, LeafRef } from '../../wire/btree.ts'
import { btreeOid, vidOf } from '../../wire/object-id.ts'
import { CAPACITY, positionToChange, type Capacity, type Leaf, type Tree } from './tree-shape.ts'
import {
  countInserts,
  countOf,
  hasEntry,
  indexAt,
  mergeChanges,
  sliceEntries,
  vidOfIndex,
  type Change,
  type PlaceRange,
} from './leaf-entries.ts'

/** A leaf to be written: the entries at `places`, then their count when they are new ones at its end; or all of it. */
export interface LeafWrite {
  readonly ref: LeafRef
  readonly entries: LeafEntries
  readonly places: PlaceRange | 'all'
  readonly isAppended: boolean
}

/**
 * What a group of changes makes of a tree. The writes are to be done in the order of the fields, those of one field at the
 * same time. Whichever of them reach the cluster, every entry that was there before is found: a new leaf holds copies until
 * the root names it, and a leaf that is split loses its lower part only after that.
 */
export interface TreeUpdate {
  readonly tree: Tree
  /** New leaf objects. */
  readonly creates: readonly LeafWrite[]
  /** Leaves that are not split. */
  readonly writes: readonly LeafWrite[]
  /** The root: its entries at these places changed, or it as a whole; undefined: nothing of it. */
  readonly rootPlaces: PlaceRange | 'all' | undefined
  /** Leaves that are split: the upper part stays. */
  readonly trims: readonly LeafWrite[]
  /** What held each of the objects before. */
  readonly previous: ReadonlyMap<number, number>
}

const NO_ENTRIES: LeafEntries = new Uint32Array(0)

/**
 * Plans changes of different objects. `leafOf` has the leaves at `positionToChange`. Splits as sheepdog does
 * (docs/sheepdog-protocol.md#4.3), but names the new leaf by its last index where the C code writes 0. Throws too-large
 * when the root is full.
 */
export function planUpdate(
  tree: Tree,
  leafOf: (ref: LeafRef) => Leaf,
  changes: readonly Change[],
  capacity: Capacity = CAPACITY,
): TreeUpdate {
  const sorted = [...changes].sort((a, b) => a.index - b.index)
  const plan = new Plan(tree, leafOf, capacity)
  return tree.root.depth === 1
    ? plan.changeRoot(tree.root.entries, sorted)
    : plan.changeLeaves(tree.root.leaves, sorted)
}

class Plan {
  readonly #tree: Tree
  readonly #leafOf: (ref: LeafRef) => Leaf
  readonly #capacity: Capacity
  readonly #creates: LeafWrite[] = []
  readonly #writes: LeafWrite[] = []
  readonly #trims: LeafWrite[] = []
  readonly #previous = new Map<number, number>()
  #nextNumber: number

  constructor(tree: Tree, leafOf: (ref: LeafRef) => Leaf, capacity: Capacity) {
    this.#tree = tree
    this.#leafOf = leafOf
    this.#capacity = capacity
    this.#nextNumber = tree.nextNumber
  }

  /** The root holds the entries itself; when it overflows they go to leaves. */
  changeRoot(entries: LeafEntries, changes: readonly Change[]): TreeUpdate {
    const effective = this.#effective(entries, changes)
    if (countOf(entries) + countInserts(entries, effective) <= this.#capacity.root) {
      const merged = mergeChanges(entries, effective)
      return this.#update({ depth: 1, entries: merged.entries }, merged.inserted > 0 ? 'all' : merged.touched)
    }
    const leaves = this.#split(entries, effective).map((piece) => this.#create(piece))
    return this.#update({ depth: 2, leaves }, 'all')
  }

  changeLeaves(leaves: readonly LeafRef[], changes: readonly Change[]): TreeUpdate {
    const groups = groupByLeaf(leaves, changes)
    const after = leaves.flatMap((ref, position) => {
      const group = groups.get(position)
      return group ? this.#changeLeaf(ref, group) : [ref]
    })
    if (leaves.length === 0) after.push(...this.#createChunks(changes.filter(({ vid }) => vid !== 0)))
    if (after.length > this.#capacity.indirect) {
      throw new SheepfsError('too-large', `the index of a hyper volume has room for ${this.#capacity.indirect} leaves`)
    }
    const isSame = after.length === leaves.length && after.every((ref, position) => ref === leaves[position])
    return isSame ? this.#update(this.#tree.root, undefined) : this.#update({ depth: 2, leaves: after }, 'all')
  }

  /** What the root has in place of `ref` after changes of its objects and, when it is the last leaf, of later ones. */
  #changeLeaf(ref: LeafRef, changes: readonly Change[]): LeafRef[] {
    const { entries, isAsStored } = this.#leafOf(ref)
    const effective = this.#effective(entries, changes)
    const inside = effective.filter(({ index }) => index <= ref.last)
    const pieces = this.#overflows(entries, inside) ? this.#split(entries, inside) : []
    const top = pieces.pop()
    const kept = top ?? entries
    const own = top ? [] : inside
    const beyond = effective.slice(inside.length)
    const fitting = beyond.splice(0, this.#room(kept, own))
    const merged = mergeChanges(kept, [...own, ...fitting])
    const lower = pieces.map((piece) => this.#create(piece))
    const chunks = this.#createChunks(beyond)
    if (!top && !merged.touched) return [ref, ...chunks]
    const last = fitting.at(-1)?.index ?? ref.last
    if (vidOf(ref.oid) !== this.#tree.vid) return [...lower, this.#create(merged.entries, last), ...chunks]
    const after = last === ref.last ? ref : { last, oid: ref.oid }
    const isAppended = !top && merged.inserted > 0 && merged.touched?.first === countOf(entries)
    const isInPlace = !top && merged.inserted === 0
    const places = (isAppended || isInPlace) && isAsStored && merged.touched ? merged.touched : 'all'
    const list = top ? this.#trims : this.#writes
    list.push({ ref: after, entries: merged.entries, places, isAppended })
    return [...lower, after, ...chunks]
  }

  #create(entries: LeafEntries, last = indexAt(entries, countOf(entries) - 1)): LeafRef {
    const ref = { last, oid: btreeOid(this.#tree.vid, this.#nextNumber++) }
    this.#creates.push({ ref, entries, places: 'all', isAppended: false })
    return ref
  }

  /** New leaves with nothing but new entries. */
  #createChunks(changes: readonly Change[]): LeafRef[] {
    return this.#chunks(mergeChanges(NO_ENTRIES, changes).entries).map((chunk) => this.#create(chunk))
  }

  #chunks(entries: LeafEntries): LeafEntries[] {
    const chunks: LeafEntries[] = []
    for (let from = 0; from < countOf(entries); from += this.#capacity.leaf) {
      chunks.push(sliceEntries(entries, from, from + this.#capacity.leaf))
    }
    return chunks
  }

  /** Notes what is there, and leaves out what would only make an entry that says nothing. */
  #effective(entries: LeafEntries, changes: readonly Change[]): Change[] {
    for (const { index } of changes) this.#previous.set(index, vidOfIndex(entries, index))
    return changes.filter(({ index, vid }) => vid !== 0 || hasEntry(entries, index))
  }

  /** How many more entries a leaf takes after the changes; negative when it overflows. */
  #room(entries: LeafEntries, changes: readonly Change[]): number {
    return this.#capacity.leaf - countOf(entries) - countInserts(entries, changes)
  }

  /** Whether the changes make a leaf larger than it may be: one that was before is left as it is otherwise. */
  #overflows(entries: LeafEntries, changes: readonly Change[]): boolean {
    return this.#room(entries, changes) < 0 && countInserts(entries, changes) > 0
  }

  /** The entries with the changes in them, in as many leaves as it takes: one that overflows is halved first. */
  #split(entries: LeafEntries, changes: readonly Change[]): LeafEntries[] {
    if (this.#room(entries, changes) >= 0) return [mergeChanges(entries, changes).entries]
    const half = Math.floor(countOf(entries) / 2)
    if (half === 0) return this.#chunks(mergeChanges(entries, changes).entries)
    const bound = indexAt(entries, half - 1)
    return [
      ...this.#split(
        sliceEntries(entries, 0, half),
        changes.filter(({ index }) => index <= bound),
      ),
      ...this.#split(
        sliceEntries(entries, half, countOf(entries)),
        changes.filter(({ index }) => index > bound),
      ),
    ]
  }

  #update(root: BtreeNode, rootPlaces: PlaceRange | 'all' | undefined): TreeUpdate {
    return {
      tree: { vid: this.#tree.vid, root, nextNumber: this.#nextNumber },
      creates: this.#creates,
      writes: this.#writes,
      rootPlaces,
      trims: this.#trims,
      previous: this.#previous,
    }
  }
}

/** The changes of each leaf, by its position. */
function groupByLeaf(leaves: readonly LeafRef[], changes: readonly Change[]): Map<number, Change[]> {
  const groups = new Map<number, Change[]>()
  for (const change of changes) {
    const position = positionToChange(leaves, change.index)
    const group = groups.get(position)
    if (group) group.push(change)
    else groups.set(position, [change])
  }
  return groups
}
