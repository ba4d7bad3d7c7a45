import type { LeafRef } from '../../wire/btree.ts'
import type { IndexMemory, IndexPart } from './index-memory.ts'
import type { Leaf } from './tree-shape.ts'

/** Leaves read at the same time: each has up to 4 MiB. */
const PARALLEL_LOADS = 4

interface Kept extends IndexPart {
  readonly leaf: Leaf
}

/**
 * The leaves of a tree that are in memory. Each is loaded once for all who wait for it. Those held stay, whatever their
 * size: a leaf that is being written must not be read meanwhile, it could be half of what it was.
 */
export class LeafCache {
  readonly #load: (ref: LeafRef, floor: number) => Promise<Leaf>
  readonly #memory: IndexMemory
  readonly #kept = new Map<LeafRef, Kept>()
  readonly #loading = new Map<LeafRef, Promise<Leaf>>()
  #held: ReadonlySet<LeafRef> = new Set()
  #loads = 0
  readonly #waiting: (() => void)[] = []

  constructor(memory: IndexMemory, load: (ref: LeafRef, floor: number) => Promise<Leaf>) {
    this.#memory = memory
    this.#load = load
  }

  /** The leaf, at once when it is here. `floor` as for the load. */
  get(ref: LeafRef, floor: number): Leaf | Promise<Leaf> {
    const kept = this.#kept.get(ref)
    if (!kept) return this.#loading.get(ref) ?? this.#fetch(ref, floor)
    kept.isUsed = true
    return kept.leaf
  }

  /** Until the next call, these are not dropped. */
  hold(refs: Iterable<LeafRef>): void {
    this.#held = new Set(refs)
    this.#memory.trim()
  }

  put(ref: LeafRef, leaf: Leaf): void {
    this.drop(ref)
    const drop = (): boolean => !this.#held.has(ref) && this.#kept.delete(ref)
    const kept: Kept = { leaf, bytes: leaf.entries.byteLength, isUsed: false, drop }
    this.#kept.set(ref, kept)
    this.#memory.add(kept)
  }

  drop(ref: LeafRef): void {
    const kept = this.#kept.get(ref)
    if (kept) this.#memory.remove(kept)
    this.#kept.delete(ref)
    this.#loading.delete(ref)
  }

  #fetch(ref: LeafRef, floor: number): Promise<Leaf> {
    const loading = this.#inTurn(() => this.#load(ref, floor)).then(
      (leaf) => {
        if (this.#loading.get(ref) === loading) this.put(ref, leaf)
        return leaf
      },
      (error: unknown) => {
        if (this.#loading.get(ref) === loading) this.drop(ref)
        throw error
      },
    )
    this.#loading.set(ref, loading)
    return loading
  }

  async #inTurn(load: () => Promise<Leaf>): Promise<Leaf> {
    while (this.#loads >= PARALLEL_LOADS) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#loads++
    try {
      return await load()
    } finally {
      this.#loads--
      this.#waiting.shift()?.()
    }
  }
}
