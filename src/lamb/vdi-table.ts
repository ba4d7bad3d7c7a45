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
  /** Vids that were ever used. */
  readonly #inUse = new Set<number>()
  readonly #deleted = new Set<number>()

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
    this.#inUse.clear()
    this.#deleted.clear()
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
    this.#inUse.add(vid)
  }

  /** As READ_VDIS tells the vids that were ever used. */
  get inUse(): Uint8Array {
    return bitmapOf(this.#inUse)
  }

  /** As READ_DEL_VDIS tells those that were deleted. */
  get deleted(): Uint8Array {
    return bitmapOf(this.#deleted)
  }

  /** The vid stays in use: it is never given again. */
  markDeleted(vid: number): void {
    this.#deleted.add(vid)
    const state = this.#states.get(vid)
    if (state) state.isDeleted = true
  }

  /** The first vid at or after `hash` that was never used; undefined when all are. */
  freeVid(hash: number): number | undefined {
    for (let vid = hash; vid <= MAX_VID; vid++) if (!this.#inUse.has(vid)) return vid
    for (let vid = 1; vid < hash; vid++) if (!this.#inUse.has(vid)) return vid
    return undefined
  }

  /** The vids that a name with this hash may have, newest first. */
  candidates(hash: number): number[] {
    const vids: number[] = []
    for (let vid = hash; this.#inUse.has(vid) && vids.length < MAX_VID; vid = vid === MAX_VID ? 1 : vid + 1) {
      vids.push(vid)
    }
    return vids.reverse()
  }
}

/** Bit v of byte v >> 3 stands for vid v. */
function bitmapOf(vids: ReadonlySet<number>): Uint8Array {
  const bitmap = new Uint8Array(VDI_BITMAP_SIZE)
  for (const vid of vids) bitmap[vid >> 3] = (bitmap[vid >> 3] ?? 0) | (1 << (vid & 7))
  return bitmap
}
