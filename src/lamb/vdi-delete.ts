import {
  indexEntryOffset,
  Inode,
  INODE_HEADER_SIZE,
  NAME_OFFSET,
  SD_MAX_VDI_LEN,
  StorePolicy,
  type InodeHeader,
} from '../wire/inode.ts'
import { dataOid, inodeOid } from '../wire/object-id.ts'
import { isOwnLeaf, leafEntries, leafOids } from './index-tree.ts'
import { loadInode } from './inode-image.ts'
import type { LambNode } from './node.ts'
import type { ObjectStore } from './object-store.ts'

/**
 * DEL_VDI. The vid counts as deleted in any case. The inode loses its name when no index entry is left, and always for a
 * hyper volume, whose objects go first; an array-indexed VDI with entries keeps name and objects, as on a real sheep
 * (docs/sheepdog-protocol.md#2.2).
 */
export function deleteVdi(node: LambNode, inode: InodeHeader): void {
  const { store, table } = node
  const vid = inode.vdiId
  if (inode.storePolicy === StorePolicy.BTREE) removeTree(store, vid)
  const image = loadInode(store, vid)
  if (image && (image.isHyper || image.index.every((entry) => entry === 0))) {
    image.header.fill(0, NAME_OFFSET, NAME_OFFSET + SD_MAX_VDI_LEN)
    Inode.vdiSize.set(image.view, 0)
    image.index.fill(0)
    image.references.fill(0)
    store.replaceAll([image.toObject(vid)])
  }
  table.markDeleted(vid)
}

function removeTree(store: ObjectStore, vid: number): void {
  for (const entry of leafEntries(store, vid)) if (entry.vid === vid) store.remove(dataOid(vid, entry.index))
  for (const oid of leafOids(store, vid)) if (isOwnLeaf(oid, vid)) store.remove(oid)
}

/**
 * DISCARD_OBJ of a data object, by the inode of the vid in its id: clears the entry, then removes the object of exactly
 * this id. With the vid of a parent the snapshot loses its data, as on a real sheep (docs/sheepdog-protocol.md#5.6).
 * False when there is no such inode.
 */
export function discardObject(node: LambNode, vid: number, index: number): boolean {
  const { store } = node
  const head = new Uint8Array(INODE_HEADER_SIZE)
  if (!store.read(inodeOid(vid), 0, head)) return false
  const isHyper = head[Inode.storePolicy.offset] === StorePolicy.BTREE
  const wasMapped = isHyper ? clearTreeEntry(store, vid, index) : clearArrayEntry(node, vid, index)
  if (wasMapped) store.remove(dataOid(vid, index))
  return true
}

function clearTreeEntry(store: ObjectStore, vid: number, index: number): boolean {
  for (const entry of leafEntries(store, vid)) {
    if (entry.index !== index) continue
    if (entry.vid !== 0) store.write(entry.node, entry.offset, new Uint8Array(4))
    return entry.vid !== 0
  }
  return false
}

function clearArrayEntry(node: LambNode, vid: number, index: number): boolean {
  const entry = new Uint8Array(4)
  const offset = indexEntryOffset(index)
  node.store.read(inodeOid(vid), offset, entry)
  if (entry.every((byte) => byte === 0)) return false
  return node.references.updateIndex(vid, offset, new Uint8Array(4))
}
