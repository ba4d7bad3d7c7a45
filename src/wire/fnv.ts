import type { ObjectId } from './object-id.ts'

/** An unsigned 64-bit number as two u32. */
export interface U64 {
  readonly high: number
  readonly low: number
}

const OFFSET_BASIS: U64 = { high: 0xcbf29ce4, low: 0x84222325 }

/**
 * FNV-1a, 64 bits (docs/sheepdog-protocol.md#3.6), going on from `hash`. The prime is 2^40 + 0x1b3, so a step is a shift
 * and a small product.
 */
export function fnv1a(bytes: Uint8Array, hash: U64 = OFFSET_BASIS): U64 {
  let { high, low } = hash
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0
    const product = low * 0x1b3
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 0x1_0000_0000) + (low << 8)) >>> 0
    low = product >>> 0
  }
  return { high, low }
}

/** The 8 bytes of a number, as it is on the wire. */
export function littleEndian(value: U64): Uint8Array {
  const { high, low } = value
  return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8, high >>> 16, high >>> 24)
}

/** sd_hash_next(): the hash of the hash's own 8 bytes, going on from it. Walks a node's positions on the ring. */
export function sdHashNext(hash: U64): U64 {
  return fnv1a(littleEndian(hash), hash)
}

/**
 * sd_hash_next() over and over: fills both arrays with the upper and lower words of the hashes that follow on `seed`. As
 * `sdHashNext`, without anything to collect: a ring in disk mode has millions of positions.
 */
export function walkHash(seed: U64, highs: Uint32Array, lows: Uint32Array): void {
  let { high, low } = seed
  for (let at = 0; at < highs.length; at++) {
    const words = { low, high }
    for (let byte = 0; byte < 8; byte++) {
      const word = byte < 4 ? words.low : words.high
      low = (low ^ ((word >>> (8 * (byte & 3))) & 0xff)) >>> 0
      const product = low * 0x1b3
      high = (Math.imul(high, 0x1b3) + Math.floor(product / 0x1_0000_0000) + (low << 8)) >>> 0
      low = product >>> 0
    }
    highs[at] = high
    lows[at] = low
  }
}

/** sd_hash(): FNV-1a with one extra round for spread (sheepdog: include/sheepdog_proto.h). */
export function sdHash(bytes: Uint8Array): U64 {
  return sdHashNext(fnv1a(bytes))
}

/** sd_hash_oid(): where an object stands on the ring. */
export function sdHashOid(oid: ObjectId): U64 {
  return sdHash(littleEndian({ high: oid.high, low: oid.index }))
}

/** Where the search for a VDI name starts among the vids; never 0. Only a server computes it: ask GET_VDI_INFO. */
export function vidHash(name: Uint8Array): number {
  return fnv1a(name).low & 0xff_ffff || 1
}
