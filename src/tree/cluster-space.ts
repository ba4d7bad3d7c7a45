import type { Clock } from '../clock.ts'
import { addressText } from '../sheep/address.ts'
import { askAll } from '../sheep/map-in-order.ts'
import type { StoreSpace } from '../wire/info-ops.ts'
import { addrText } from '../wire/node-record.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import type { Space } from './node.ts'
import { withinTime } from './time-limit.ts'

/** How long an answer holds, ms: the space of a cluster changes slowly, and programs ask often. */
const VALID_MS = 5000
/** A df(1) of all file systems must not hang on this one, ms. */
const LIMIT_MS = 3000

/**
 * The space of a cluster: the sum over the stores of its nodes, as `dog node info` totals it. It is raw space: one byte of
 * a volume takes as many bytes of it as the volume has copies.
 */
export class ClusterSpace {
  readonly #facts: ClusterFacts
  readonly #clock: Clock
  /** By the address of the node. */
  #stores = new Map<string, StoreSpace>()
  #known: { readonly space: Space; readonly at: number } | undefined
  #asking: Promise<Space> | undefined

  constructor(facts: ClusterFacts, clock: Clock) {
    this.#facts = facts
    this.#clock = clock
  }

  /** The last known space when the cluster does not answer. Errors, when there is none: unreachable, timeout. */
  async space(): Promise<Space> {
    const known = this.#known
    if (known !== undefined && this.#clock.now() - known.at < VALID_MS) return known.space
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    try {
      return await withinTime(this.#asking, { clock: this.#clock, ms: LIMIT_MS, what: 'the space of its nodes' })
    } catch (error) {
      if (known !== undefined) return known.space
      throw error
    }
  }

  async #ask(): Promise<Space> {
    const nodes = await this.#facts.nodes()
    const answers = await askAll(nodes, (node) => this.#facts.storeSpace(node))
    // without any answer the cluster is not empty: it has not formed yet
    if (this.#known !== undefined && answers.every((store) => store === undefined)) return this.#known.space
    const stores = new Map<string, StoreSpace>()
    for (const [i, { addr, port }] of nodes.entries()) {
      const address = addressText({ host: addrText(addr), port })
      const store = answers[i] ?? this.#stores.get(address) // a node that does not answer is no loss of space
      if (store) stores.set(address, store)
    }
    this.#stores = stores
    const sumOf = (key: keyof StoreSpace): number => [...stores.values()].reduce((sum, store) => sum + store[key], 0)
    const space = { total: sumOf('size'), free: sumOf('free') }
    this.#known = { space, at: this.#clock.now() }
    return space
  }
}
