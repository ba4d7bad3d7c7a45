import { INODE_HEADER_SIZE } from './inode.ts'
import { viewOf, u16, u32 } from './field.ts'
import { readOid, writeOid, type ObjectId } from './object-id.ts'

/** Head of a B-tree node of a hyper volume (sheepdog: sd_index_header). */
const IndexHeader = {
  magic: u16(0),
  depth: u16(2), // 1: entries are objects; 2: entries are leaves
  entries: u32(4),
} as const
const MAGIC = 0x6274
const INDEX_HEADER_SIZE = 8
const LEAF_ENTRY_SIZE = 8
const INDIRECT_ENTRY_SIZE = 16

/** Bytes of a node, root and leaves alike. */
export const BTREE_NODE_SIZE = 4 * 1024 * 1024
/** The root's place in the inode. */
export const BTREE_ROOT_OFFSET = INODE_HEADER_SIZE
/** Entries of a node without, and of a root with leaves below it. */
export const MAX_LEAF_ENTRIES = 524_287
export const MAX_INDIRECT_ENTRIES = 262_143

/** Object `index` of the volume is held by `vid`; 0 when it was discarded. */
export interface LeafEntry {
  readonly index: number
  readonly vid: number
}

/** The leaf that holds the indices up to `index`. */
export interface IndirectEntry {
  readonly index: number
  readonly oid: ObjectId
}

export type BtreeNode =
  { readonly depth: 1; readonly entries: LeafEntry[] } | { readonly depth: 2; readonly entries: IndirectEntry[] }

/** How many bytes of a node its head says are in use; 8 for a tree that was never written. Throws RangeError. */
export function btreeNodeLength(head: Uint8Array): number {
  const view = viewOf(head)
  if (view.getUint32(0, true) === 0) return INDEX_HEADER_SIZE
  const depth = IndexHeader.depth.get(view)
  const entries = IndexHeader.entries.get(view)
  const limit = depth === 1 ? MAX_LEAF_ENTRIES : MAX_INDIRECT_ENTRIES
  if (IndexHeader.magic.get(view) !== MAGIC || depth < 1 || depth > 2 || entries > limit) {
    throw new RangeError('not a B-tree node of a hyper volume')
  }
  return INDEX_HEADER_SIZE + entries * (depth === 1 ? LEAF_ENTRY_SIZE : INDIRECT_ENTRY_SIZE)
}

/** Reads a node, of which `node` holds at least the used part. Throws RangeError. */
export function parseBtreeNode(node: Uint8Array): BtreeNode {
  const length = btreeNodeLength(node)
  const view = viewOf(node)
  if (IndexHeader.depth.get(view) < 2) {
    const entries: LeafEntry[] = []
    for (let at = INDEX_HEADER_SIZE; at < length; at += LEAF_ENTRY_SIZE) {
      entries.push({ index: view.getUint32(at, true), vid: view.getUint32(at + 4, true) })
    }
    return { depth: 1, entries }
  }
  const entries: IndirectEntry[] = []
  for (let at = INDEX_HEADER_SIZE; at < length; at += INDIRECT_ENTRY_SIZE) {
    entries.push({ index: view.getUint32(at, true), oid: readOid(view, at + 8) })
  }
  return { depth: 2, entries }
}

/** The used part of a node, as it is written. */
export function encodeBtreeNode(node: BtreeNode): Uint8Array {
  const entrySize = node.depth === 1 ? LEAF_ENTRY_SIZE : INDIRECT_ENTRY_SIZE
  const encoded = new Uint8Array(INDEX_HEADER_SIZE + node.entries.length * entrySize)
  const view = viewOf(encoded)
  IndexHeader.magic.set(view, MAGIC)
  IndexHeader.depth.set(view, node.depth)
  IndexHeader.entries.set(view, node.entries.length)
  let at = INDEX_HEADER_SIZE
  for (const entry of node.entries) {
    view.setUint32(at, entry.index, true)
    if ('oid' in entry) writeOid(view, entry.oid, at + 8)
    else view.setUint32(at + 4, entry.vid, true)
    at += entrySize
  }
  return encoded
}
