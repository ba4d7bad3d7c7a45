import { addrText, type NodeRecord } from '../wire/node-record.ts'
import type { ObjectId } from '../wire/object-id.ts'
import type { Ring } from '../wire/ring.ts'
import { addressText, type Address } from './address.ts'

/** The nodes of a cluster in one epoch, and where its objects are. */
export interface Topology {
  readonly epoch: number
  readonly nodes: readonly NodeRecord[]
  readonly addresses: readonly Address[]
  /** Nodes that store objects, `host:port`. */
  readonly stores: readonly string[]
  /** Zones of the nodes that store objects. */
  readonly zones: number
  /** How many places on the ring are kept in memory. */
  readonly positions: number
  /** Addresses of the sheep that hold an object of that many copies. */
  holders(oid: ObjectId, copies: number): Address[]
}

export function toTopology(epoch: number, nodes: readonly NodeRecord[], ring: Ring): Topology {
  const addresses = nodes.map((node) => ({ host: addrText(node.addr), port: node.port }))
  return {
    epoch,
    nodes,
    addresses,
    stores: addresses.filter((_, place) => nodes[place]?.nrVnodes !== 0).map(addressText),
    zones: new Set(nodes.flatMap(({ nrVnodes, zone }) => (nrVnodes === 0 ? [] : [zone]))).size,
    positions: ring.size,
    holders: (oid, copies) => ring.holders(oid, copies).flatMap((owner) => addresses[owner] ?? []),
  }
}
