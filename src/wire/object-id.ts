import { u32 } from './field.ts'

/**
 * A 64-bit object id (docs/sheepdog-protocol.md#3.1), as two u32: `index` is bits 0-31, `high` bits 32-63 (a kind bit
 * and the 24-bit vid). Kept apart because a BigInt costs ten times as much.
 */
export interface ObjectId {
  readonly high: number
  readonly index: number
}

/** Kind bits of the high word. Data objects have none. */
const KIND = { ledger: 1 << 27, btree: 1 << 28, attribute: 1 << 29, vmstate: 1 << 30, inode: 0x8000_0000 } as const

/** Highest vid. */
export const MAX_VID = 0xff_ffff

/** The object that holds bytes index << shift and on of a VDI's data. */
export function dataOid(vid: number, index: number): ObjectId {
  return { high: vid, index }
}

/** The object that holds a VDI's inode. */
export function inodeOid(vid: number): ObjectId {
  return { high: (vid | KIND.inode) >>> 0, index: 0 }
}

/** Node `number` of a hyper volume's B-tree. */
export function btreeOid(vid: number, number: number): ObjectId {
  return { high: vid | KIND.btree, index: number }
}

/** The reference counts of data object `index`. */
export function ledgerOid(vid: number, index: number): ObjectId {
  return { high: vid | KIND.ledger, index }
}

/** Attribute `id` of the VDI name that hashes to `nameHash`. */
export function attributeOid(nameHash: number, id: number): ObjectId {
  return { high: nameHash | KIND.attribute, index: id }
}

/** The vid of any object id. */
export function vidOf(oid: ObjectId): number {
  return oid.high & MAX_VID
}

export type ObjectKind = 'data' | keyof typeof KIND

export function kindOf(oid: ObjectId): ObjectKind {
  if (oid.high & KIND.inode) return 'inode'
  if (oid.high & KIND.vmstate) return 'vmstate'
  if (oid.high & KIND.attribute) return 'attribute'
  if (oid.high & KIND.btree) return 'btree'
  if (oid.high & KIND.ledger) return 'ledger'
  return 'data'
}

/** 16 hex digits, as sheep names its files. */
export function oidText(oid: ObjectId): string {
  return oid.high.toString(16).padStart(8, '0') + oid.index.toString(16).padStart(8, '0')
}

const low = u32(0)
const high = u32(4)

/** Writes the id as the 8 little-endian bytes it is on the wire. */
export function writeOid(view: DataView, oid: ObjectId, at = 0): void {
  low.set(view, oid.index, at)
  high.set(view, oid.high, at)
}

export function readOid(view: DataView, at = 0): ObjectId {
  return { high: high.get(view, at), index: low.get(view, at) }
}
