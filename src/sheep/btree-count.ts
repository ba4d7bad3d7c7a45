import { btreeNodeLength, BTREE_ROOT_OFFSET, parseBtreeNode, type BtreeNode, type LeafEntry } from '../wire/btree.ts'
import { inodeOid, type ObjectId } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { type Cluster } from './cluster.ts'
import { resultError } from './result-error.ts'

/** Counts the objects of a hyper volume: its own and the inherited ones. Errors: io. */
export async function countTreeEntries(cluster: Cluster, vid: number): Promise<{ used: number; shared: number }> {
  const counts = { used: 0, shared: 0 }
  const count = (entries: readonly LeafEntry[]): void => {
    for (const entry of entries) {
      if (entry.vid === vid) counts.used++
      else if (entry.vid !== 0) counts.shared++
    }
  }
  const root = await readNode(cluster, inodeOid(vid), BTREE_ROOT_OFFSET)
  if (root.depth === 1) count(root.entries)
  else {
    for (const { oid } of root.entries) {
      const leaf = await readNode(cluster, oid, 0)
      if (leaf.depth === 1) count(leaf.entries)
    }
  }
  return counts
}

async function readNode(cluster: Cluster, oid: ObjectId, offset: number): Promise<BtreeNode> {
  const head = await readBytes(cluster, oid, offset, 8)
  return parseBtreeNode(await readBytes(cluster, oid, offset, btreeNodeLength(head)))
}

async function readBytes(cluster: Cluster, oid: ObjectId, offset: number, length: number): Promise<Uint8Array> {
  const into = new Uint8Array(length)
  const { result } = await cluster.read(readObject(oid, offset, length), { into })
  if (result !== Result.SUCCESS) throw resultError(result, 'B-tree of a hyper volume')
  return into
}
