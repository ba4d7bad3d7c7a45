import { SheepfsError } from '../errors.ts'
import { MAX_DATA_OBJS, objectCount, StorePolicy, type InodeHeader } from '../wire/inode.ts'

/** A piece of a request that lies in one object. `at` is its place in the request. */
export interface ObjectPart {
  readonly index: number
  readonly offset: number
  readonly length: number
  readonly at: number
}

/** Cuts a range of a volume into its objects, in order. */
export function splitRange(position: number, length: number, objectSize: number): ObjectPart[] {
  const parts: ObjectPart[] = []
  for (let at = 0; at < length;) {
    const offset = (position + at) % objectSize
    const partLength = Math.min(length - at, objectSize - offset)
    parts.push({ index: Math.floor((position + at) / objectSize), offset, length: partLength, at })
    at += partLength
  }
  return parts
}

const MIN_SHIFT = 9
const MAX_SHIFT = 31

/** Most objects of a volume whose index is of this kind. */
export function maxObjects(storePolicy: number): number {
  return storePolicy === StorePolicy.ARRAY ? MAX_DATA_OBJS : 2 ** 32
}

/** Refuses an inode that cannot be served rightly, saying why. Throws not-supported, too-large. */
export function checkLayout(header: InodeHeader, what: string): void {
  const { blockSizeShift, storePolicy, vdiSize } = header
  if (blockSizeShift < MIN_SHIFT || blockSizeShift > MAX_SHIFT) {
    throw new SheepfsError('not-supported', `${what} has block_size_shift ${blockSizeShift}: expected 9 to 31`)
  }
  if (storePolicy !== StorePolicy.ARRAY && storePolicy !== StorePolicy.BTREE) {
    throw new SheepfsError('not-supported', `${what} has store_policy ${storePolicy}: expected 0 or 1 (hyper volume)`)
  }
  if (!Number.isSafeInteger(vdiSize) || objectCount(vdiSize, blockSizeShift) > maxObjects(storePolicy)) {
    throw new SheepfsError('too-large', `${what} has ${vdiSize} bytes, more than its index can address`)
  }
}
