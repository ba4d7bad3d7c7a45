import { viewOf } from '../wire/field.ts'
import { Inode, INODE_HEADER_SIZE, INODE_INDEX_END, INODE_SIZE, StorePolicy } from '../wire/inode.ts'
import { inodeOid } from '../wire/object-id.ts'
import type { Timestamp } from './cluster-file.ts'
import type { ObjectImage, ObjectStore } from './object-store.ts'

/** First word of an unused B-tree: magic, depth 1. */
const EMPTY_TREE = 0x0001_6274
/** Entries of a new inode: room for the head of a tree. */
const FIRST_ENTRIES = 2

/**
 * A whole inode object in memory, up to the last entry in use. Index and references are typed arrays, which are
 * little-endian on every machine Node.js runs a lamb on.
 */
export class InodeImage {
  readonly header = new Uint8Array(INODE_HEADER_SIZE)
  readonly view = viewOf(this.header)
  /** data_vdi_id[]. */
  readonly index: Uint32Array
  /** gref[]: generation and count of each entry, alternating. */
  readonly references: Int32Array

  constructor(entries = FIRST_ENTRIES) {
    this.index = new Uint32Array(entries)
    this.references = new Int32Array(2 * entries)
  }

  get vid(): number {
    return Inode.vdiId.get(this.view)
  }

  get isHyper(): boolean {
    return Inode.storePolicy.get(this.view) === StorePolicy.BTREE
  }

  setSnapCtime(time: Timestamp): void {
    setTime(this.view, Inode.snapCtime.offset, time)
  }

  setCreateTime(time: Timestamp): void {
    setTime(this.view, Inode.createTime.offset, time)
  }

  startTree(): void {
    this.index[0] = EMPTY_TREE
  }

  /** Takes over the index of `base`, which is as long, and counts one more reference to each of its objects. */
  inherit(base: InodeImage): void {
    this.index.set(base.index)
    if (base.isHyper) return
    base.index.forEach((vid, i) => {
      if (vid === 0) return
      base.references[2 * i + 1] = (base.references[2 * i + 1] ?? 0) + 1
      this.references[2 * i] = (base.references[2 * i] ?? 0) + 1
    })
  }

  toObject(vid = this.vid): ObjectImage {
    const pieces = [
      { offset: 0, bytes: this.header },
      { offset: INODE_HEADER_SIZE, bytes: new Uint8Array(this.index.buffer) },
      { offset: INODE_INDEX_END, bytes: new Uint8Array(this.references.buffer) },
    ]
    return { oid: inodeOid(vid), size: INODE_SIZE, pieces }
  }
}

/** Reads a whole inode; undefined when there is none. */
export function loadInode(store: ObjectStore, vid: number): InodeImage | undefined {
  const oid = inodeOid(vid)
  const indexBytes = store.usedBefore(oid, INODE_INDEX_END) - INODE_HEADER_SIZE
  const image = new InodeImage(Math.max(FIRST_ENTRIES, Math.ceil(indexBytes / 4)))
  if (!store.read(oid, 0, image.header)) return undefined
  store.read(oid, INODE_HEADER_SIZE, new Uint8Array(image.index.buffer))
  store.read(oid, INODE_INDEX_END, new Uint8Array(image.references.buffer))
  return image
}

function setTime(view: DataView, offset: number, time: Timestamp): void {
  view.setUint32(offset, time.nanoseconds, true)
  view.setUint32(offset + 4, time.seconds, true)
}
