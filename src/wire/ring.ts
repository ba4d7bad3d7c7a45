import { fnv1a, littleEndian, sdHash, sdHashNext, sdHashOid, type U64 } from './fnv.ts'
import type { NodeRecord } from './node-record.ts'
import type { ObjectId } from './object-id.ts'

const DISK_SPACE_PER_VNODE = 2 ** 32

/**
 * The consistent-hash ring of a node list: which nodes hold an object (sheepdog: include/sheep.h, oid_to_vnodes). A
 * client's choice is only an optimisation, so a stale ring is harmless.
 */
export class Ring {
  readonly #nodes: readonly NodeRecord[]
  readonly #high: Uint32Array
  readonly #low: Uint32Array
  readonly #owner: Uint16Array
  readonly #zones: number

  /** @param diskMode cluster flag 0x02: positions come from the disks of a node, not from its vnodes. */
  constructor(nodes: readonly NodeRecord[], diskMode = false) {
    const positions = nodes.flatMap((node, owner) =>
      (diskMode ? diskPositions(node) : vnodePositions(node)).map((hash) => ({ ...hash, owner })),
    )
    positions.sort((a, b) => a.high - b.high || a.low - b.low)
    this.#nodes = nodes
    this.#high = Uint32Array.from(positions, (position) => position.high)
    this.#low = Uint32Array.from(positions, (position) => position.low)
    this.#owner = Uint16Array.from(positions, (position) => position.owner)
    this.#zones = new Set(nodes.filter((node) => node.nrVnodes > 0).map((node) => node.zone)).size
  }

  /** Indices into the node list of the nodes that hold `oid`, in order of the ring; one per zone, at most `copies`. */
  holders(oid: ObjectId, copies: number): number[] {
    const wanted = Math.min(copies, this.#zones)
    const chosen: number[] = []
    const zones = new Set<number>()
    const first = this.#firstAtOrAfter(sdHashOid(oid))
    for (let step = 0; step < this.#owner.length && chosen.length < wanted; step++) {
      const owner = this.#owner[(first + step) % this.#owner.length] ?? 0
      const zone = this.#nodes[owner]?.zone ?? 0
      if (zones.has(zone)) continue
      zones.add(zone)
      chosen.push(owner)
    }
    return chosen
  }

  #firstAtOrAfter(hash: U64): number {
    let from = 0
    let to = this.#owner.length
    while (from < to) {
      const middle = (from + to) >>> 1
      const high = this.#high[middle] ?? 0
      const isBefore = high < hash.high || (high === hash.high && (this.#low[middle] ?? 0) < hash.low)
      if (isBefore) from = middle + 1
      else to = middle
    }
    return from
  }
}

function nodeSeed(node: NodeRecord): U64 {
  const key = new Uint8Array(18)
  key.set(node.addr)
  key.set([node.port & 0xff, node.port >> 8], 16)
  return sdHash(key)
}

function walk(seed: U64, count: number): U64[] {
  const positions: U64[] = []
  for (let hash = seed; positions.length < count; positions.push(hash)) hash = sdHashNext(hash)
  return positions
}

function vnodePositions(node: NodeRecord): U64[] {
  return walk(nodeSeed(node), node.nrVnodes)
}

function diskPositions(node: NodeRecord): U64[] {
  const seed = littleEndian(nodeSeed(node))
  return node.disks.flatMap((disk) =>
    walk(fnv1a(seed, { high: disk.idHigh, low: disk.idLow }), Math.ceil(disk.space / DISK_SPACE_PER_VNODE)),
  )
}
