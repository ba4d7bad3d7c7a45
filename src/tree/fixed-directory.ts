import type { Clock } from '../clock.ts'
import type { Attributes, Directory, Entry, Node } from './node.ts'
import { plainAttributes, type Owner } from './owner.ts'

const DIRECTORY_MODE = 0o755

/** A directory whose entries are there from the start. */
export class FixedDirectory implements Directory {
  readonly kind = 'directory'
  readonly id: number
  readonly parent: Directory | undefined
  readonly #owner: Owner
  readonly #madeMs: number
  readonly #nodes = new Map<string, Node>()

  constructor(id: number, options: { readonly clock: Clock; readonly parent?: Directory; readonly owner: Owner }) {
    this.id = id
    this.parent = options.parent
    this.#owner = options.owner
    this.#madeMs = options.clock.date()
  }

  /** Adds an entry; for the time before the tree is served. */
  add(name: string, node: Node): void {
    this.#nodes.set(name, node)
  }

  lookup(name: string): Node | undefined {
    return this.#nodes.get(name)
  }

  entries(): readonly Entry[] {
    return Array.from(this.#nodes, ([name, node]) => ({ name, node }))
  }

  attributes(): Promise<Attributes> {
    return Promise.resolve(plainAttributes(this.#owner, { size: 0, mode: DIRECTORY_MODE, modifiedMs: this.#madeMs }))
  }
}
