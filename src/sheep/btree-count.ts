import { errorText, SheepfsError } from '../errors.ts'
import {
  BTREE_HEAD_SIZE,
  BTREE_ROOT_OFFSET,
  entriesLength,
  parseNode,
  parseNodeHead,
  type BtreeNode,
  type LeafEntries,
} from '../wire/btree.ts'
import { inodeOid, vidOf, type ObjectId } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import { answererText } from './parse-answer.ts'
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
      if (leaf.depth !== 1) throw damaged(cluster, oid, 'a leaf that has leaves')
      count(leaf.entries)
    }
  }
  return counts
}

async function readNode(cluster: Requests, oid: ObjectId, offset: number): Promise<BtreeNode> {
  const start = await readBytes(cluster, oid, offset, BTREE_HEAD_SIZE)
  const head = checked(cluster, oid, () => parseNodeHead(start))
  const entries = await readBytes(cluster, oid, offset + BTREE_HEAD_SIZE, entriesLength(head))
  return checked(cluster, oid, () => parseNode(head, entries))
}

function checked<T>(cluster: Requests, oid: ObjectId, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    throw damaged(cluster, oid, errorText(cause), cause)
  }
}

function damaged(cluster: Requests, oid: ObjectId, why: string, cause?: unknown): SheepfsError {
  return new SheepfsError('io', `${textOf(oid)} is damaged: ${why}, says ${answererText(cluster)}`, { cause })
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
