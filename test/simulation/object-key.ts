import type { ObjectId } from '../../src/wire/object-id.ts'

const INDEX_LIMIT = 2 ** 20

/** An object id as one number, for maps; of simulated objects, whose indices are small. */
export function keyOf({ high, index }: ObjectId): number {
  if (index >= INDEX_LIMIT) throw new RangeError(`object index ${index}: expected less than ${INDEX_LIMIT}`)
  return high * INDEX_LIMIT + index
}

/** The inverse of `keyOf`. */
export function oidOf(key: number): ObjectId {
  return { high: Math.floor(key / INDEX_LIMIT), index: key % INDEX_LIMIT }
}
