import type { Patience } from '../../sheep/outage.ts'
import type { LeafEntries, LeafRef } from '../../wire/btree.ts'
import { CAPACITY, leafPosition, positionToChange, type Capacity, type Leaf, type Tree } from './tree-shape.ts'
import { planUpdate, type TreeUpdate } from './btree-update.ts'
import { INDEX_MEMORY, type IndexMemory } from './index-memory.ts'
import { LeafCache } from './leaf-cache.ts'
import { countHeld, countOf, indexAt, placeOf, vidAt, vidOfIndex } from './leaf-entries.ts'
import { eldestOf } from './eldest-patience.ts'
import { TreeStore, type ObjectCalls } from './tree-store.ts'
import { allEnded } from '../all-ended.ts'
import type { VolumeIndex } from './volume-index.ts'

export interface BtreeIndexOptions {
  readonly capacity?: Capacity
  /** For the leaves: 8 bytes an allocated object. */
  readonly memory?: IndexMemory
}

/** Changes of one update, and leaves of up to 4 MiB that it rewrites. */
const MAX_CHANGES = 8192
const MAX_LEAVES = 8
const PARALLEL_REMOVALS = 16
const PARALLEL_COUNTS = 4

interface Publish {
  readonly index: number
  readonly vid: number
  readonly patience: Patience
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Entries of the tree around an index: all there are from after the leaf before up to `last`. */
interface Section {
  readonly entries: LeafEntries
  readonly last: number
}

/**
 * The B-tree of a hyper volume. The root is in memory, and the leaves that were used last. One update of the tree is under
 * way at a time; what is published meanwhile goes out together in the next.
 */
export class BtreeIndex implements VolumeIndex {
  readonly #cluster: ObjectCalls
  readonly #store: TreeStore
  readonly #capacity: Capacity
  readonly #memory: IndexMemory
  #tree: Tree
  #leaves: LeafCache
  #objectCount: number
  #allocated = 0
  #queued: Publish[] = []
  #isUpdating = false
  /** An update failed on its way: what of it has reached the cluster is to be read before the next. */
  #isUncertain = false
  /** One did: a node, until it is written as a whole, may be another on replicas that were not read. */
  #hasFailed = false
  #isRootAgreed = true

  private constructor(
    cluster: ObjectCalls,
    { store, tree }: { readonly store: TreeStore; readonly tree: Tree },
    options: BtreeIndexOptions & { readonly objectCount: number },
  ) {
    this.#cluster = cluster
    this.#store = store
    this.#tree = tree
    this.#objectCount = options.objectCount
    this.#capacity = options.capacity ?? CAPACITY
    this.#memory = options.memory ?? INDEX_MEMORY
    this.#leaves = this.#newCache()
  }

  /**
   * Reads the tree of a VDI. Every leaf is read once, to count the objects: 8 bytes an allocated object, 32 MiB for 16 TiB.
   * Errors: stale when the inode is gone, io when the tree is damaged.
   */
  static async load(
    cluster: ObjectCalls,
    vid: number,
    objectCount: number,
    options: BtreeIndexOptions = {},
  ): Promise<BtreeIndex> {
    const store = new TreeStore(cluster, vid)
    const index = new BtreeIndex(cluster, { store, tree: await store.readTree() }, { ...options, objectCount })
    await index.#count()
    return index
  }

  get objectCount(): number {
    return this.#objectCount
  }

  get allocated(): number {
    return this.#allocated
  }

  owner(index: number): number | Promise<number> {
    const section = this.#section(index)
    return section instanceof Promise
      ? section.then(({ entries }) => vidOfIndex(entries, index))
      : vidOfIndex(section.entries, index)
  }

  async next(from: number, wanted: 'data' | 'hole'): Promise<number> {
    for (let index = from; index < this.#objectCount;) {
      const section = await this.#section(index)
      const found = wanted === 'data' ? nextHeld(section.entries, index) : nextHole(section, index)
      if (found !== undefined) return Math.min(found, this.#objectCount)
      index = section.last + 1
    }
    return this.#objectCount
  }

  grow(objectCount: number): void {
    this.#objectCount = Math.max(objectCount, this.#objectCount)
  }

  /** An own object that is given back is also removed when this resolves. */
  publish(index: number, vid: number, patience?: Patience): Promise<void> {
    return this.#cluster.withPatience(
      patience,
      (own) =>
        new Promise((resolve, reject) => {
          this.#queued.push({ index, vid, patience: own, resolve, reject })
          if (this.#isUpdating) return
          this.#isUpdating = true
          queueMicrotask(() => void this.#updateQueued())
        }),
    )
  }

  /** Never rejects: every publish is told how it ended. */
  async #updateQueued(): Promise<void> {
    while (this.#queued.length > 0) {
      const batch = this.#takeBatch()
      const patience = eldestOf(batch)
      try {
        if (this.#isUncertain) await this.#reload(patience)
        const { previous } = await this.#update(batch, patience)
        for (const { index, vid } of batch) this.#allocated += Number(vid !== 0) - Number(previous.get(index) !== 0)
        void this.#finish(batch, previous)
      } catch (error) {
        this.#isUncertain = true
        this.#hasFailed = true
        this.#fail(batch, patience, error)
      }
    }
    this.#isUpdating = false
  }

  /** Those that began later than the one whose patience is over go on, and of those not sent yet none waits longer than it may. */
  #fail(batch: readonly Publish[], patience: Patience, error: unknown): void {
    let failed = batch
    if (patience.hasGivenUp) {
      const all = [...batch, ...this.#queued]
      failed = all.filter((publish) => publish.patience.isOver)
      const over = new Set(failed)
      this.#queued = all.filter((publish) => !over.has(publish))
    }
    for (const { reject } of failed) reject(error)
  }

  /** The first publishes of the queue, as many as one update may have. */
  #takeBatch(): Publish[] {
    const { root } = this.#tree
    const positions = new Set<number>()
    const end = this.#queued.findIndex(({ index }, place) => {
      if (root.depth === 2) positions.add(positionToChange(root.leaves, index))
      return place === MAX_CHANGES || positions.size > MAX_LEAVES
    })
    return this.#queued.splice(0, end === -1 ? this.#queued.length : end)
  }

  /** Brings one group of changes to the cluster, then into memory. */
  async #update(changes: readonly Publish[], patience: Patience): Promise<TreeUpdate> {
    const leaves = await this.#leavesToChange(changes)
    const leafOf = (ref: LeafRef): Leaf => {
      const leaf = leaves.get(ref)
      if (!leaf) throw new RangeError(`leaf ${ref.oid.index} was not read`)
      return leaf
    }
    const update = planUpdate(this.#tree, leafOf, changes, this.#capacity)
    const { creates, writes, rootPlaces, trims, tree } = update
    await allEnded([
      ...creates.map((write) => this.#store.createLeaf(write, patience)),
      ...writes.map((write) => this.#store.writeLeaf(write, patience)),
    ])
    if (rootPlaces) await this.#store.writeRoot(tree, this.#isRootAgreed ? rootPlaces : 'all', patience)
    if (rootPlaces) this.#isRootAgreed = true
    await allEnded(trims.map((write) => this.#store.writeLeaf(write, patience)))
    this.#tree = tree
    for (const ref of leaves.keys()) this.#leaves.drop(ref)
    this.#leaves.hold([])
    for (const { ref, entries } of [...creates, ...writes, ...trims]) {
      this.#leaves.put(ref, { entries, isAsStored: true })
    }
    return update
  }

  /** Held until the update is done: what is on its way to the cluster must not be read from there. */
  async #leavesToChange(changes: readonly Publish[]): Promise<Map<LeafRef, Leaf>> {
    const { root } = this.#tree
    if (root.depth === 1) return new Map()
    const positions = new Set(changes.map(({ index }) => positionToChange(root.leaves, index)))
    const refs = [...positions].map((position) => ({
      ref: root.leaves[position],
      floor: floorOf(root.leaves, position),
    }))
    const held = refs.flatMap(({ ref, floor }) => (ref ? [{ ref, floor }] : []))
    this.#leaves.hold(held.map(({ ref }) => ref))
    const leaves = await Promise.all(
      held.map(async ({ ref, floor }) => [ref, await this.#leaves.get(ref, floor)] as const),
    )
    return new Map(leaves)
  }

  /** Removes the own objects that were given back, and tells all publishes that they are done. */
  async #finish(batch: readonly Publish[], previous: ReadonlyMap<number, number>): Promise<void> {
    const removals: Publish[] = []
    for (const publish of batch) {
      const isRemoval = publish.vid === 0 && previous.get(publish.index) === this.#tree.vid
      if (isRemoval) removals.push(publish)
      else publish.resolve()
    }
    const remaining = removals.values()
    const worker = async (): Promise<void> => {
      for (const { index, resolve, reject } of remaining) await this.#store.removeData(index).then(resolve, reject)
    }
    await Promise.all(Array.from({ length: PARALLEL_REMOVALS }, worker))
  }

  /** The entries around `index`, at once when they are in memory. */
  #section(index: number): Section | Promise<Section> {
    const { root } = this.#tree
    if (root.depth === 1) return { entries: root.entries, last: Infinity }
    const position = leafPosition(root.leaves, index)
    const ref = root.leaves[position]
    if (!ref) return { entries: new Uint32Array(0), last: Infinity }
    const leaf = this.#leaves.get(ref, floorOf(root.leaves, position))
    if (!(leaf instanceof Promise)) return { entries: leaf.entries, last: ref.last }
    return this.#loadedSection(index, leaf, { root, ref })
  }

  /** Looks again when the tree is another now: a load begun before a reload may find a leaf that was split after it. */
  async #loadedSection(
    index: number,
    loading: Promise<Leaf>,
    { root, ref }: { root: Tree['root']; ref: LeafRef },
  ): Promise<Section> {
    const leaf = await loading
    return root === this.#tree.root ? { entries: leaf.entries, last: ref.last } : this.#section(index)
  }

  async #reload(patience: Patience): Promise<void> {
    this.#tree = await this.#store.readTree(patience)
    this.#leaves.hold([])
    this.#leaves = this.#newCache()
    await this.#count()
    this.#isUncertain = false
    this.#isRootAgreed = false
  }

  async #count(): Promise<void> {
    const { root } = this.#tree
    if (root.depth === 1) {
      this.#allocated = countHeld(root.entries)
      return
    }
    let allocated = 0
    const remaining = root.leaves.entries()
    const worker = async (): Promise<void> => {
      for (const [position, ref] of remaining) {
        const { entries } = await this.#leaves.get(ref, floorOf(root.leaves, position))
        allocated += countHeld(entries)
      }
    }
    await Promise.all(Array.from({ length: PARALLEL_COUNTS }, worker))
    this.#allocated = allocated
  }

  #newCache(): LeafCache {
    return new LeafCache(this.#memory, async (ref, floor) => {
      const leaf = await this.#store.readLeaf(ref, floor)
      return this.#hasFailed ? { ...leaf, isAsStored: false } : leaf
    })
  }
}

/** The last index of the leaf before. */
function floorOf(leaves: readonly LeafRef[], position: number): number {
  return leaves[position - 1]?.last ?? -1
}

function nextHeld(entries: LeafEntries, from: number): number | undefined {
  for (let place = placeOf(entries, from); place < countOf(entries); place++) {
    if (vidAt(entries, place) !== 0) return indexAt(entries, place)
  }
  return undefined
}

/** Undefined when everything up to the end of the section is held. */
function nextHole({ entries, last }: Section, from: number): number | undefined {
  let index = from
  for (let place = placeOf(entries, from); indexAt(entries, place) === index; place++) {
    if (vidAt(entries, place) === 0) return index
    index++
  }
  return index > last ? undefined : index
}
