import { errorText, SheepfsError } from '../errors.ts'
import {
  BTREE_HEAD_SIZE,
  BTREE_ROOT_OFFSET,
  entriesLength,
  parseNode,
  parseNodeHead,
  type BtreeNode,
  type LeafEntries,
  type NodeHead,
} from '../wire/btree.ts'
import { inodeOid, vidOf, type ObjectId } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import type { Requests } from './requests.ts'
import { expectSuccess } from './result-error.ts'

/**
 * Counts the objects of a hyper volume: its own and the inherited ones. Reads the used part of every leaf, 8 bytes an
 * object, one leaf at a time. Errors: io.
 */
export async function countTreeEntries(cluster: Requests, vid: number): Promise<{ used: number; shared: number }> {
  const counts = { used: 0, shared: 0 }
  const count = (entries: LeafEntries): void => {
    for (let at = 1; at < entries.length; at += 2) {
      if (entries[at] === vid) counts.used++
      else if (entries[at] !== 0) counts.shared++
    }
  }
  const root = await readNode(cluster, inodeOid(vid), BTREE_ROOT_OFFSET)
  if (root.depth === 1) count(root.entries)
  else {
    for (const { oid } of root.leaves) {
      const leaf = await readNode(cluster, oid, 0)
      if (leaf.depth === 1) count(leaf.entries)
    }
  }
  return counts
}

async function readNode(cluster: Requests, oid: ObjectId, offset: number): Promise<BtreeNode> {
  const head = headOf(oid, await readBytes(cluster, oid, offset, BTREE_HEAD_SIZE))
  return parseNode(head, await readBytes(cluster, oid, offset + BTREE_HEAD_SIZE, entriesLength(head)))
}

function headOf(oid: ObjectId, bytes: Uint8Array): NodeHead {
  try {
    return parseNodeHead(bytes)
  } catch (cause) {
    throw new SheepfsError('io', `${textOf(oid)} is damaged: ${errorText(cause)}`, { cause })
  }
}

async function readBytes(
  cluster: Requests,
  oid: ObjectId,
  offset: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const into = new Uint8Array(length)
  if (length === 0) return into
  expectSuccess(await cluster.read(readObject(oid, offset, length), { into }), textOf(oid))
  return into
}

function textOf(oid: ObjectId): string {
  return `B-tree of hyper volume ${vidOf(oid).toString(16)}`
}
