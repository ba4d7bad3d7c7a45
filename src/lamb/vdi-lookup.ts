import { INODE_HEAD_SIZE, parseInodeHeader, untilNul, type InodeHeader } from '../wire/inode.ts'
import { inodeOid } from '../wire/object-id.ts'
import { vidHash } from '../wire/fnv.ts'
import { Result } from '../wire/sd-proto.ts'
import type { ObjectStore } from './object-store.ts'
import type { VdiTable } from './vdi-table.ts'

/** What a lookup asks for; no tag is an empty one, no snapshot id is 0. */
export interface VdiName {
  readonly name: Uint8Array
  readonly tag: Uint8Array
  readonly snapId: number
}

/** The VDI that was found, or why there is none. */
export type Found =
  { readonly result: 0; readonly inode: InodeHeader } | { readonly result: number; readonly inode?: never }

/** The bytes of a name or tag field: sheep keeps at most 255. */
export function fieldText(field: Uint8Array): Uint8Array {
  return untilNul(field).subarray(0, 255)
}

/** The first 572 bytes of an inode; undefined when there is none. */
export function readInodeHeader(store: ObjectStore, vid: number): InodeHeader | undefined {
  const head = new Uint8Array(INODE_HEAD_SIZE)
  return store.read(inodeOid(vid), 0, head) ? parseInodeHeader(head) : undefined
}

/** The inodes of a name, newest first. Deleted ones have no name and match nothing. */
export function inodesOf(table: VdiTable, store: ObjectStore, name: Uint8Array): InodeHeader[] {
  if (name.length === 0) return []
  return table
    .candidates(vidHash(name))
    .map((vid) => readInodeHeader(store, vid))
    .filter((inode) => inode !== undefined)
    .filter((inode) => Buffer.compare(inode.name, name) === 0)
}

/** GET_VDI_INFO: the working VDI of a name, or one of its snapshots. Results NO_VDI, NO_TAG. */
export function lookupVdi(table: VdiTable, store: ObjectStore, wanted: VdiName): Found {
  const inodes = inodesOf(table, store, wanted.name)
  const newest = inodes[0]
  const working = newest && !newest.isSnapshot ? newest : undefined
  if (wanted.tag.length === 0 && wanted.snapId === 0) {
    return working ? { result: Result.SUCCESS, inode: working } : { result: Result.NO_VDI }
  }
  const snapshot = inodes.find((inode) => inode.isSnapshot && isMeant(inode, wanted))
  if (snapshot) return { result: Result.SUCCESS, inode: snapshot }
  return { result: working ? Result.NO_TAG : Result.NO_VDI }
}

function isMeant(inode: InodeHeader, wanted: VdiName): boolean {
  if (wanted.tag.length > 0 && Buffer.compare(inode.tag, wanted.tag) === 0) return true
  return wanted.snapId !== 0 && inode.snapId === wanted.snapId
}
