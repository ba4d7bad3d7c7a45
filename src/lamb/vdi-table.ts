import { parseInodeHeader, INODE_HEAD_SIZE } from '../wire/inode.ts'
import { inodeOid, kindOf, MAX_VID, vidOf } from '../wire/object-id.ts'
import { VDI_BITMAP_SIZE } from '../wire/vdi-ops.ts'
import type { ObjectStore } from './object-store.ts'

/** What a sheep keeps in memory of each vid, also of deleted ones, snapshots and failed clones. */
export interface VdiEntry {
  readonly vid: number
  readonly copies: number
  readonly copyPolicy: number
  readonly blockSizeShift: number
  readonly parentVid: number
  /** Data objects of the vid are read-only: it is a snapshot, or the base of a clone made since the start. */
  isSnapshot: boolean
  isDeleted: boolean
}

/** The vids of the node. Rebuilt from the inodes at the start, as a sheep does. */
export class VdiTable {
  readonly #states = new Map<number, VdiEntry>()
  /** Bit v of byte v >> 3: the vid was ever used. */
  readonly inUse = new Uint8Array(VDI_BITMAP_SIZE)
  readonly deleted = new Uint8Array(VDI_BITMAP_SIZE)

  load(store: ObjectStore): void {
    const head = new Uint8Array(INODE_HEAD_SIZE)
    for (const name of store.list()) {
      const oid = { high: parseInt(name.slice(0, 8), 16), index: parseInt(name.slice(8), 16) }
      if (kindOf(oid) !== 'inode' || oid.index !== 0) continue
      const vid = vidOf(oid)
      if (!store.read(inodeOid(vid), 0, head)) continue
      const inode = parseInodeHeader(head)
      this.add({
        vid,
        copies: inode.nrCopies,
        copyPolicy: inode.copyPolicy,
        blockSizeShift: inode.blockSizeShift,
        parentVid: inode.parentVdiId,
        isSnapshot: inode.isSnapshot,
        isDeleted: false,
      })
      this.markUsed(vid)
      if (inode.name.length === 0) this.markDeleted(vid)
    }
  }

  clear(): void {
    this.#states.clear()
    this.inUse.fill(0)
    this.deleted.fill(0)
  }

  get(vid: number): VdiEntry | undefined {
    return this.#states.get(vid)
  }

  add(state: VdiEntry): void {
    this.#states.set(state.vid, state)
  }

  /** All states, by ascending vid. */
  list(): VdiEntry[] {
    return [...this.#states.values()].sort((a, b) => a.vid - b.vid)
  }

  markUsed(vid: number): void {
    setBit(this.inUse, vid)
  }

  /** The vid stays in use: it is never given again. */
  markDeleted(vid: number): void {
    setBit(this.deleted, vid)
    const state = this.#states.get(vid)
    if (state) state.isDeleted = true
  }

  /** The first vid at or after `hash` that was never used; undefined when all are. */
  freeVid(hash: number): number | undefined {
    for (let vid = hash; vid <= MAX_VID; vid++) if (!hasBit(this.inUse, vid)) return vid
    for (let vid = 1; vid < hash; vid++) if (!hasBit(this.inUse, vid)) return vid
    return undefined
  }

  /** The vids that a name with this hash may have, newest first. */
  candidates(hash: number): number[] {
    const vids: number[] = []
    for (let vid = hash; hasBit(this.inUse, vid) && vids.length < MAX_VID; vid = vid === MAX_VID ? 1 : vid + 1) {
      vids.push(vid)
    }
    return vids.reverse()
  }
}

function hasBit(bitmap: Uint8Array, vid: number): boolean {
  return (((bitmap[vid >> 3] ?? 0) >> (vid & 7)) & 1) === 1
}

function setBit(bitmap: Uint8Array, vid: number): void {
  bitmap[vid >> 3] = (bitmap[vid >> 3] ?? 0) | (1 << (vid & 7))
}
