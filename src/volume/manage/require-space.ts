import { SheepfsError } from '../../errors.ts'
import { readNodes, readStoreSpace } from '../../sheep/cluster-info.ts'
import { askAll } from '../../sheep/map-in-order.ts'
import type { Requests } from '../../sheep/requests.ts'
import { INODE_SIZE } from '../../wire/inode.ts'

/** The inode that becomes the snapshot may be written whole, and that of the new working VDI is. */
const NEEDED = 2 * INODE_SIZE

/**
 * Sheep makes a snapshot of the working VDI before it makes the next one, and undoes nothing: where a disk is full it
 * stops in between, and the VDI is gone but for its snapshot (docs/sheepdog-protocol.md#7). Errors: no-space when any
 * node has less than that takes.
 */
export async function requireSpace(cluster: Requests, what: string): Promise<void> {
  const nodes = (await readNodes(cluster)).filter(({ nrVnodes }) => nrVnodes > 0)
  const stores = await askAll(nodes, (node) => readStoreSpace(cluster, node))
  if (stores.every((store) => store === undefined || store.free >= NEEDED)) return
  throw new SheepfsError('no-space', `${what}: the cluster is full: expected ${NEEDED} bytes free on every node`)
}
