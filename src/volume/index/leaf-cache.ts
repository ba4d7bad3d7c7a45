import type { LeafRef } from '../../wire/btree.ts'
import type { Leaf } from './tree-shape.ts'

/** Leaves read at the same time: each has up to 4 MiB. */
const PARALLEL_LOADS = 4

interface Slot {
  leaf?: Leaf
  loading?: Promise<Leaf>
}

/**
 * The leaves of a tree that were used last. Each is loaded once for all who wait for it. Those held stay, whatever their
 * size: a leaf that is being written must not be read meanwhile, it could be half of what it was.
 */
export class LeafCache {
  readonly #load: (ref: LeafRef, floor: number) => Promise<Leaf>
  readonly #limit: number
  /** Least recently used first. */
  readonly #slots = new Map<LeafRef, Slot>()
  #held: ReadonlySet<LeafRef> = new Set()
  #size = 0
  #loads = 0
  readonly #waiting: (() => void)[] = []

  /** `limit`: bytes of the leaves that are kept. */
  constructor(limit: number, load: (ref: LeafRef, floor: number) => Promise<Leaf>) {
    this.#limit = limit
    this.#load = load
  }

  /** The leaf, at once when it is here. `floor` as for the load. */
  get(ref: LeafRef, floor: number): Leaf | Promise<Leaf> {
    const slot = this.#slots.get(ref)
    if (!slot) return this.#fetch(ref, floor)
    this.#slots.delete(ref)
    this.#slots.set(ref, slot)
    return slot.leaf ?? slot.loading ?? this.#fetch(ref, floor)
  }

  /** Until the next call, these are not dropped. */
  hold(refs: Iterable<LeafRef>): void {
    this.#held = new Set(refs)
    this.#trim()
  }

  put(ref: LeafRef, leaf: Leaf): void {
    this.drop(ref)
    this.#slots.set(ref, { leaf })
    this.#size += leaf.entries.byteLength
    this.#trim()
  }

  drop(ref: LeafRef): void {
    this.#size -= this.#slots.get(ref)?.leaf?.entries.byteLength ?? 0
    this.#slots.delete(ref)
  }

  #fetch(ref: LeafRef, floor: number): Promise<Leaf> {
    const slot: Slot = {}
    this.#slots.set(ref, slot)
    slot.loading = this.#inTurn(() => this.#load(ref, floor)).then(
      (leaf) => {
        if (this.#slots.get(ref) === slot) this.put(ref, leaf)
        return leaf
      },
      (error: unknown) => {
        if (this.#slots.get(ref) === slot) this.drop(ref)
        throw error
      },
    )
    return slot.loading
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

  #trim(): void {
    for (const [ref, { leaf }] of this.#slots) {
      if (this.#size <= this.#limit) return
      if (leaf && !this.#held.has(ref)) this.drop(ref)
    }
  }
}
