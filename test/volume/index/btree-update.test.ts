import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CAPACITY, leafInBounds, type Leaf, type Tree } from '../../../src/volume/index/tree-shape.ts'
import { planUpdate, type TreeUpdate } from '../../../src/volume/index/btree-update.ts'
import { countOf, indexAt, vidAt } from '../../../src/volume/index/leaf-entries.ts'
import type { LeafRef } from '../../../src/wire/btree.ts'
import { btreeOid } from '../../../src/wire/object-id.ts'

const VID = 0x54e456
const OTHER = 0x111111
const AT_ONCE = 5000

/** A tree whose leaves are all in memory. */
class WholeTree {
  tree: Tree = { vid: VID, root: { depth: 1, entries: new Uint32Array(0) }, nextNumber: 0 }
  leaves = new Map<LeafRef, Leaf>()

  change(indices: readonly number[], vid = VID): TreeUpdate {
    const changes = indices.map((index) => ({ index, vid }))
    const update = planUpdate(this.tree, (ref) => this.#leafOf(ref), changes)
    for (const { ref, entries } of [...update.creates, ...update.writes, ...update.trims]) {
      this.leaves.set(ref, { entries, isAsStored: true })
    }
    this.tree = update.tree
    return update
  }

  get refs(): readonly LeafRef[] {
    return this.tree.root.depth === 2 ? this.tree.root.leaves : []
  }

  /** Every index from left to right. */
  indices(): number[] {
    const { root } = this.tree
    const nodes = root.depth === 1 ? [root.entries] : root.leaves.map((ref) => this.#leafOf(ref).entries)
    return nodes.flatMap((entries) => Array.from({ length: countOf(entries) }, (_, place) => indexAt(entries, place)))
  }

  #leafOf(ref: LeafRef): Leaf {
    const leaf = this.leaves.get(ref)
    assert.ok(leaf, 'the root names a leaf that was never written')
    return leaf
  }
}

function range(count: number, indexOf: (k: number) => number): number[] {
  return Array.from({ length: count }, (_, k) => indexOf(k))
}

describe('a tree of 600 000 objects', { timeout: 60_000 }, () => {
  test('is whole after every kind of split, and every leaf is named by its last index', () => {
    const whole = new WholeTree()
    const kinds = { root: 0, after: 0, lower: 0 }
    const even = range(400_000, (k) => 2 * k)
    const high = range(120_000, (k) => 3_000_000 + 7 * k)
    const odd = range(560_000, (k) => 2 * ((k * 7919) % 560_000) + 1)
    const all = [...even, ...high, ...odd]
    for (let from = 0; from < all.length; from += AT_ONCE) {
      const { depth } = whole.tree.root
      const { creates, trims, writes } = whole.change(all.slice(from, from + AT_ONCE))
      if (whole.tree.root.depth > depth) kinds.root++
      if (trims.length > 0) kinds.lower++
      if (creates.length === 1 && trims.length === 0 && writes.length > 0) kinds.after++
    }
    const beyond = range(800_000, (k) => 4_000_000 + k)
    for (let from = 0; from < beyond.length; from += AT_ONCE) {
      const { creates, trims } = whole.change(beyond.slice(from, from + AT_ONCE))
      if (creates.length === 1 && trims.length === 0) kinds.after++
    }
    assert.ok(kinds.root > 0 && kinds.lower > 0 && kinds.after > 0, JSON.stringify(kinds))
    const indices = whole.indices()
    assert.equal(indices.length, all.length + beyond.length)
    assert.ok(
      indices.every((index, k) => k === 0 || index > (indices[k - 1] ?? 0)),
      'ascending, none twice',
    )
    for (const ref of whole.refs) {
      const entries = whole.leaves.get(ref)?.entries ?? new Uint32Array(0)
      assert.equal(ref.last, indexAt(entries, countOf(entries) - 1))
      assert.ok(countOf(entries) <= CAPACITY.leaf)
    }
    assert.equal(whole.tree.nextNumber, whole.refs.length)
  })
})

describe('an update of a tree with leaves', () => {
  const first = { last: 20, oid: btreeOid(VID, 0) }
  const second = { last: 40, oid: btreeOid(VID, 1) }
  const inherited = { last: 60, oid: btreeOid(OTHER, 1) }
  const entriesOf = (...indices: number[]): Leaf => ({
    entries: new Uint32Array(indices.flatMap((index) => [index, VID])),
    isAsStored: true,
  })
  const leaves = new Map([
    [first, entriesOf(10, 12, 14, 20)],
    [second, entriesOf(30, 40)],
    [inherited, entriesOf(50, 60)],
  ])
  const leafOf = (ref: LeafRef): Leaf => leaves.get(ref) ?? entriesOf()
  const tree = (...refs: LeafRef[]): Tree => ({ vid: VID, root: { depth: 2, leaves: refs }, nextNumber: 5 })
  const capacity = { root: 4, leaf: 4, indirect: 3 }

  test('a full leaf keeps the upper half, and is trimmed only after the root names the lower', () => {
    const update = planUpdate(tree(first, second), leafOf, [{ index: 13, vid: VID }], capacity)
    assert.deepEqual(
      update.creates.map(({ ref, entries }) => [ref.oid.index, ref.last, [...entries]]),
      [[5, 12, [10, VID, 12, VID]]],
    )
    assert.deepEqual(update.writes, [])
    assert.deepEqual(
      update.trims.map(({ ref, entries, places }) => [ref, [...entries], places]),
      [[first, [13, VID, 14, VID, 20, VID], 'all']],
    )
    assert.equal(update.rootPlaces, 'all')
    assert.equal(update.tree.nextNumber, 6)
  })

  test('an index past the last leaf is appended to it and raises what the root says', () => {
    const update = planUpdate(tree(first, second), leafOf, [{ index: 99, vid: VID }], capacity)
    assert.deepEqual(update.tree.root, { depth: 2, leaves: [first, { last: 99, oid: second.oid }] })
    assert.deepEqual(update.creates, [])
    assert.deepEqual(
      update.writes.map(({ places, isAppended }) => [places, isAppended]),
      [[{ first: 2, last: 2 }, true]],
    )
  })

  test('an entry that only changes leaves the root alone', () => {
    const update = planUpdate(tree(first, second), leafOf, [{ index: 30, vid: 0 }], capacity)
    assert.equal(update.rootPlaces, undefined)
    assert.deepEqual(update.writes[0]?.places, { first: 0, last: 0 })
    assert.equal(vidAt(update.writes[0].entries, 0), 0)
    assert.deepEqual([...update.previous], [[30, VID]])
  })

  test('what is not there is not given back', () => {
    const update = planUpdate(tree(first, second), leafOf, [{ index: 31, vid: 0 }], capacity)
    assert.deepEqual([update.creates, update.writes, update.trims, update.rootPlaces], [[], [], [], undefined])
  })

  test('a leaf of another VDI is copied before it is changed', () => {
    const update = planUpdate(tree(first, inherited), leafOf, [{ index: 55, vid: VID }], capacity)
    assert.deepEqual(update.writes, [])
    assert.deepEqual(update.tree.root, { depth: 2, leaves: [first, { last: 60, oid: btreeOid(VID, 5) }] })
    assert.equal(update.rootPlaces, 'all')
  })

  test('a root without room for another leaf is too large', () => {
    const full = { last: 70, oid: btreeOid(VID, 2) }
    const change = [{ index: 13, vid: VID }]
    assert.throws(() => planUpdate(tree(first, second, full), leafOf, change, capacity), { code: 'too-large' })
  })

  test('entries outside the bounds of their leaf do not count', () => {
    const stored = entriesOf(5, 10, 15, 20, 25).entries
    assert.deepEqual(leafInBounds(stored, 10, 20), { entries: entriesOf(15, 20).entries, isAsStored: false })
    assert.deepEqual(leafInBounds(stored, 4, 25), { entries: stored, isAsStored: true })
    assert.equal(countOf(leafInBounds(stored, -1, 0).entries), 0)
  })
})
