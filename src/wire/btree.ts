import { INODE_HEADER_SIZE } from './inode.ts'
import { viewOf, u16, u32 } from './field.ts'
import { kindOf, oidText, readOid, writeOid, type ObjectId } from './object-id.ts'

/** Head of a B-tree node of a hyper volume (docs/sheepdog-protocol.md#4.1). */
export const IndexHeader = {
  magic: u16(0),
  depth: u16(2), // 1: entries are objects; 2: entries are leaves
  entries: u32(4),
} as const
/** Starts every node that was ever written. */
export const INDEX_MAGIC = 0x6274

/** Bytes of a node, root and leaves alike. */
export const BTREE_NODE_SIZE = 4 * 1024 * 1024
/** Bytes of a node's head, and of an entry of a leaf, and of a root with leaves below it. */
export const BTREE_HEAD_SIZE = 8
export const LEAF_ENTRY_SIZE = 8
export const INDIRECT_ENTRY_SIZE = 16
/** The root's place in the inode. */
export const BTREE_ROOT_OFFSET = INODE_HEADER_SIZE
/** Entries of a node without, and of a root with leaves below it. */
export const MAX_LEAF_ENTRIES = 524_287
export const MAX_INDIRECT_ENTRIES = 262_143
/** Leaves of a tree that are read: 8 PiB fill as many by half, as splits of sheepfs leave them. */
const MOST_LEAVES = 65_536

/**
 * Entries of a leaf, or of a root without leaves, in the words of the wire: pairs of an object's index and the vid that
 * holds it (0: it was discarded), by ascending index. Never changed once made.
 */
export type LeafEntries = Uint32Array<ArrayBuffer>

/** The leaf object that holds the indices up to `last`. */
export interface LeafRef {
  readonly last: number
  readonly oid: ObjectId
}

export type BtreeNode =
  { readonly depth: 1; readonly entries: LeafEntries } | { readonly depth: 2; readonly leaves: readonly LeafRef[] }

/** What a node's head says: its depth and how many entries follow. */
export interface NodeHead {
  readonly depth: 1 | 2
  readonly count: number
}

/** Reads a node's head. One that was never written counts as an empty leaf. Throws RangeError. */
export function parseNodeHead(head: Uint8Array): NodeHead {
  const view = viewOf(head)
  if (view.getUint32(0, true) === 0) return { depth: 1, count: 0 }
  const depth = IndexHeader.depth.get(view)
  const count = IndexHeader.entries.get(view)
  const isNode = IndexHeader.magic.get(view) === INDEX_MAGIC
  if (isNode && depth === 1 && count <= MAX_LEAF_ENTRIES) return { depth, count }
  if (isNode && depth === 2 && count <= MOST_LEAVES) return { depth, count }
  throw new RangeError(`not a B-tree node: it starts with ${Buffer.from(head.subarray(0, 8)).toString('hex')}`)
}

/** Bytes of the entries that follow a head. */
export function entriesLength({ depth, count }: NodeHead): number {
  return count * (depth === 1 ? LEAF_ENTRY_SIZE : INDIRECT_ENTRY_SIZE)
}

/**
 * The node whose entries are `bytes`, which it keeps: they start at a multiple of 4 of their memory. Throws RangeError when
 * a leaf cannot be one: a tree that leads back to its root, or into data.
 */
export function parseNode({ depth, count }: NodeHead, bytes: Uint8Array<ArrayBuffer>): BtreeNode {
  if (depth === 1) return { depth, entries: new Uint32Array(bytes.buffer, bytes.byteOffset, 2 * count) }
  const view = viewOf(bytes)
  const leaves = Array.from({ length: count }, (_, k) => {
    const at = k * INDIRECT_ENTRY_SIZE
    const oid = readOid(view, at + 8)
    if (kindOf(oid) !== 'btree') throw new RangeError(`${oidText(oid)} is no node of a B-tree`)
    return { last: view.getUint32(at, true), oid }
  })
  return { depth, leaves }
}

/** The used part of a node: head and entries. */
export function encodeNode(node: BtreeNode): Uint8Array {
  const count = node.depth === 1 ? node.entries.length / 2 : node.leaves.length
  const head = { depth: node.depth, count }
  const encoded = new Uint8Array(BTREE_HEAD_SIZE + entriesLength(head))
  encoded.set(encodeNodeHead(head))
  const view = viewOf(encoded)
  if (node.depth === 1) encoded.set(wireBytes(node.entries), BTREE_HEAD_SIZE)
  else {
    node.leaves.forEach(({ last, oid }, k) => {
      const at = BTREE_HEAD_SIZE + k * INDIRECT_ENTRY_SIZE
      view.setUint32(at, last, true)
      writeOid(view, oid, at + 8)
    })
  }
  return encoded
}

export function encodeNodeHead({ depth, count }: NodeHead): Uint8Array {
  const encoded = new Uint8Array(BTREE_HEAD_SIZE)
  const view = viewOf(encoded)
  IndexHeader.magic.set(view, INDEX_MAGIC)
  IndexHeader.depth.set(view, depth)
  IndexHeader.entries.set(view, count)
  return encoded
}

/** Entries of a leaf from place `first` up to `last`, and where in the leaf they stand. */
export function encodeEntries(entries: LeafEntries, first: number, last: number): { at: number; bytes: Uint8Array } {
  const bytes = wireBytes(entries.subarray(2 * first, 2 * (last + 1)))
  return { at: BTREE_HEAD_SIZE + LEAF_ENTRY_SIZE * first, bytes }
}

/** The memory of words; on the hosts sheep runs on it has the order of the wire. */
function wireBytes(words: Uint32Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
}
