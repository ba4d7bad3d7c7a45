import { hexOfU64, u32, u64, u8, viewOf } from './field.ts'

/**
 * struct sd_inode up to the index: bytes 0-4663. Layout of 0.9 and 1.0; older ones differ where noted
 * (docs/sheepdog-protocol.md#3.2, #3.3).
 */
export const Inode = {
  createTime: u64(512), // seconds << 32 | nanoseconds
  createSeconds: u32(516),
  snapCtime: u64(520), // as createTime; not 0: this inode is a snapshot
  vmClockNsec: u64(528),
  vdiSize: u64(536), // bytes, any value
  vmStateSize: u64(544),
  copyPolicy: u8(552), // 0 replicated, else erasure coded: data strips / 2 in the high nibble, parity in the low
  storePolicy: u8(553), // a StorePolicy; 0 in 0.7
  nrCopies: u8(554),
  blockSizeShift: u8(555), // 0 means 22
  snapId: u32(556),
  vdiId: u32(560),
  parentVdiId: u32(564),
  btreeCounter: u32(568),
} as const

/** Kinds of index: the array in the inode, or the B-tree of a hyper volume. */
export const StorePolicy = { ARRAY: 0, BTREE: 1 } as const

/** Bytes of name and of tag, NUL padded. */
export const SD_MAX_VDI_LEN = 256
export const SD_MAX_VDI_TAG_LEN = 256
export const NAME_OFFSET = 0
export const TAG_OFFSET = 256

/** Bytes before the index. */
export const INODE_HEADER_SIZE = 4664
/** Enough of the header to know everything but the child vids of old inodes. */
export const INODE_HEAD_SIZE = 572
/** Entries of the array index: data_vdi_id[]. */
export const MAX_DATA_OBJS = 1 << 20
/** Header and array index: the only read that counts as a refresh under a shared lock. */
export const INODE_INDEX_END = INODE_HEADER_SIZE + 4 * MAX_DATA_OBJS
/** Where 0.8 has `btreeCounter`; there its inode ends. */
export const OLD_BTREE_COUNTER_OFFSET = INODE_INDEX_END
/** The whole inode object of 0.9 and 1.0, with the reference records (gref) of sheep. */
export const INODE_SIZE = INODE_INDEX_END + 8 * MAX_DATA_OBJS

export const DEFAULT_BLOCK_SIZE_SHIFT = 22

/** What a VDI is, from the first 572 bytes of its inode. */
export interface InodeHeader {
  readonly name: Uint8Array
  readonly tag: Uint8Array
  readonly createSeconds: number
  /** The same to the nanosecond, as 16 hex digits: it tells a VDI from one that was made again with its vid. */
  readonly createdAt: string
  readonly isSnapshot: boolean
  /** When it became a snapshot, ms since 1970. */
  readonly snapshotMs: number
  readonly vdiSize: number
  readonly copyPolicy: number
  readonly storePolicy: number
  readonly nrCopies: number
  readonly blockSizeShift: number
  readonly snapId: number
  readonly vdiId: number
  readonly parentVdiId: number
  readonly btreeCounter: number
}

/** Reads an inode's head. `head` holds at least 572 bytes; name and tag are copies, without their padding. */
export function parseInodeHeader(head: Uint8Array): InodeHeader {
  const view = viewOf(head)
  return {
    name: untilNul(head.subarray(NAME_OFFSET, NAME_OFFSET + SD_MAX_VDI_LEN)),
    tag: untilNul(head.subarray(TAG_OFFSET, TAG_OFFSET + SD_MAX_VDI_TAG_LEN)),
    createSeconds: Inode.createSeconds.get(view),
    createdAt: hexOfU64(view, Inode.createSeconds.offset - 4),
    isSnapshot: Inode.snapCtime.low(view) !== 0 || Inode.snapCtime.high(view) !== 0,
    snapshotMs: Inode.snapCtime.high(view) * 1000 + Inode.snapCtime.low(view) / 1e6,
    vdiSize: Inode.vdiSize.get(view),
    copyPolicy: Inode.copyPolicy.get(view),
    storePolicy: Inode.storePolicy.get(view),
    nrCopies: Inode.nrCopies.get(view),
    blockSizeShift: Inode.blockSizeShift.get(view) || DEFAULT_BLOCK_SIZE_SHIFT,
    snapId: Inode.snapId.get(view),
    vdiId: Inode.vdiId.get(view),
    parentVdiId: Inode.parentVdiId.get(view),
    btreeCounter: Inode.btreeCounter.get(view),
  }
}

/** Where entry `index` of the array index stands in the inode object. */
export function indexEntryOffset(index: number): number {
  return INODE_HEADER_SIZE + 4 * index
}

/** Number of objects that hold `size` bytes. */
export function objectCount(size: number, blockSizeShift: number): number {
  return Math.ceil(size / 2 ** blockSizeShift)
}

/** Data and parity strips of an erasure-coding policy byte; undefined for a replicated VDI. */
export function erasureStrips(copyPolicy: number): { data: number; parity: number } | undefined {
  return copyPolicy === 0 ? undefined : { data: (copyPolicy >> 4) * 2, parity: copyPolicy & 0x0f }
}

/** Copies of an object as `dog` writes them: "2", or data and parity strips, "4:2". */
export function copiesText(copies: number, copyPolicy: number): string {
  const strips = erasureStrips(copyPolicy)
  return strips ? `${strips.data}:${strips.parity}` : String(copies)
}

/** Whether it is the first inode of a VDI that was cloned from a snapshot, and no snapshot itself. */
export function isClone({ isSnapshot, snapId, parentVdiId }: InodeHeader): boolean {
  return !isSnapshot && snapId === 1 && parentVdiId !== 0
}

/** A copy of the bytes before the first NUL. */
export function untilNul(field: Uint8Array): Uint8Array {
  const end = field.indexOf(0)
  return field.slice(0, end === -1 ? field.length : end)
}
