import { viewOf } from '../wire/field.ts'
import { Inode, INODE_HEADER_SIZE, INODE_INDEX_END, INODE_SIZE, MAX_DATA_OBJS, StorePolicy } from '../wire/inode.ts'
import { inodeOid } from '../wire/object-id.ts'
import type { Timestamp } from './cluster.ts'
import type { ObjectImage, ObjectStore } from './object-store.ts'

/** First word of an unused B-tree: magic, depth 1. */
const EMPTY_TREE = 0x0001_6274

/**
 * A whole inode object in memory. Index and references are typed arrays over it, which are little-endian on every machine
 * Node.js runs a lamb on.
 */
export class InodeImage {
  readonly bytes = new Uint8Array(INODE_SIZE)
  readonly view = viewOf(this.bytes)
  /** data_vdi_id[]. */
  readonly index = new Uint32Array(this.bytes.buffer, INODE_HEADER_SIZE, MAX_DATA_OBJS)
  /** gref[]: generation and count of each entry, alternating. */
  readonly references = new Int32Array(this.bytes.buffer, INODE_INDEX_END, 2 * MAX_DATA_OBJS)

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

  /** Takes over the index of `base`, and counts one more reference to each of its objects. */
  inherit(base: InodeImage): void {
    this.index.set(base.index)
    if (base.isHyper) return
    for (const [i, vid] of base.index.entries()) {
      if (vid === 0) continue
      base.references[2 * i + 1] = (base.references[2 * i + 1] ?? 0) + 1
      this.references[2 * i] = (base.references[2 * i] ?? 0) + 1
    }
  }

  toObject(vid = this.vid): ObjectImage {
    return { oid: inodeOid(vid), image: this.bytes }
  }
}

/** Reads a whole inode; undefined when there is none. */
export function loadInode(store: ObjectStore, vid: number): InodeImage | undefined {
  const image = new InodeImage()
  return store.read(inodeOid(vid), 0, image.bytes) ? image : undefined
}

function setTime(view: DataView, offset: number, time: Timestamp): void {
  view.setUint32(offset, time.nanoseconds, true)
  view.setUint32(offset + 4, time.seconds, true)
}
