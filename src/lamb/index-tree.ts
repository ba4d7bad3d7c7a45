import {
  BTREE_HEAD_SIZE,
  BTREE_NODE_SIZE,
  BTREE_ROOT_OFFSET,
  INDEX_MAGIC,
  IndexHeader,
  INDIRECT_ENTRY_SIZE,
  LEAF_ENTRY_SIZE,
} from '../wire/btree.ts'
import { btreeOid, inodeOid, readOid, vidOf, writeOid, type ObjectId } from '../wire/object-id.ts'
import { viewOf } from '../wire/field.ts'
import type { InodeImage } from './inode-image.ts'
import type { ObjectStore } from './object-store.ts'

/** An entry of a leaf: data object `index` belongs to `vid`; the word of the vid is at `offset` of object `node`. */
export interface LeafEntry {
  readonly index: number
  readonly vid: number
  readonly node: ObjectId
  readonly offset: number
}

interface TreeNode {
  readonly view: DataView
  readonly depth: number
  readonly entries: number
}

/** The leaf objects below the root of a hyper volume; none while the root holds the entries itself. */
export function leafOids(store: ObjectStore, vid: number): ObjectId[] {
  const root = readRoot(store, vid)
  return root.depth === 2 ? indirectOids(root) : []
}

/** All entries of a hyper volume's tree, by ascending index. */
export function* leafEntries(store: ObjectStore, vid: number): Generator<LeafEntry> {
  const root = readRoot(store, vid)
  if (root.depth === 1) {
    yield* entriesOf(root, inodeOid(vid), BTREE_ROOT_OFFSET)
    return
  }
  for (const oid of indirectOids(root)) {
    const bytes = new Uint8Array(BTREE_NODE_SIZE)
    if (store.read(oid, 0, bytes)) yield* entriesOf(parse(viewOf(bytes)), oid, 0)
  }
}

/** Gives the tree in `image`, a copy of another VDI's, leaves of its own. */
export function copyLeaves(store: ObjectStore, image: InodeImage, vid: number): void {
  const root = parse(viewOf(new Uint8Array(image.index.buffer)))
  if (root.depth !== 2) return
  indirectOids(root).forEach((base, k) => {
    const own = btreeOid(vid, base.index)
    store.create(own, BTREE_NODE_SIZE, { offset: 0, data: new Uint8Array(0), base })
    writeOid(root.view, own, BTREE_HEAD_SIZE + k * INDIRECT_ENTRY_SIZE + 8)
  })
}

function readRoot(store: ObjectStore, vid: number): TreeNode {
  const bytes = new Uint8Array(BTREE_NODE_SIZE)
  store.read(inodeOid(vid), BTREE_ROOT_OFFSET, bytes)
  return parse(viewOf(bytes))
}

/** Anything but a node counts as an empty leaf: an unused tree is all zero. */
function parse(view: DataView): TreeNode {
  if (IndexHeader.magic.get(view) !== INDEX_MAGIC) return { view, depth: 1, entries: 0 }
  return { view, depth: IndexHeader.depth.get(view), entries: IndexHeader.entries.get(view) }
}

function indirectOids(root: TreeNode): ObjectId[] {
  return Array.from({ length: root.entries }, (_, k) =>
    readOid(root.view, BTREE_HEAD_SIZE + k * INDIRECT_ENTRY_SIZE + 8),
  )
}

function* entriesOf(leaf: TreeNode, node: ObjectId, start: number): Generator<LeafEntry> {
  for (let k = 0; k < leaf.entries; k++) {
    const at = BTREE_HEAD_SIZE + k * LEAF_ENTRY_SIZE
    yield {
      index: leaf.view.getUint32(at, true),
      vid: leaf.view.getUint32(at + 4, true),
      node,
      offset: start + at + 4,
    }
  }
}

/** True for the leaves of this very VDI, which go with it. */
export function isOwnLeaf(oid: ObjectId, vid: number): boolean {
  return vidOf(oid) === vid
}
