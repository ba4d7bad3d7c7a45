import { constants } from 'node:fs'
import type { Attributes, Node, Space } from '../../tree/node.ts'

const TWO_32 = 2 ** 32

/** Smallest unit in which statfs counts. */
const SMALLEST_FRAGMENT = 4096

/** The stat of no file, for replies that carry an error. */
export const NO_STAT: Uint32Array = new Uint32Array(18)

/** The statvfs of nothing, for replies that carry an error. */
export const NO_STATVFS: Uint32Array = new Uint32Array(11)

/** The 18 words from which fuse-native.c fills a struct stat; 64-bit fields as low, high, times in milliseconds. */
export function encodeStat(node: Node, attributes: Attributes): Uint32Array {
  const { size, uid, gid, blockSize } = attributes
  const modified = wide(attributes.modifiedMs)
  return Uint32Array.of(
    modeOf(node, attributes),
    uid,
    gid,
    ...wide(size),
    0, // st_dev
    node.kind === 'directory' ? 2 : 1, // st_nlink
    node.id,
    0, // st_rdev
    blockSize,
    ...wide(Math.ceil(attributes.allocated / 512)),
    ...modified, // the last access
    ...modified,
    ...wide(attributes.changedMs),
  )
}

/** A stat of which only the inode number and the type count: what readdir(3) tells of an entry. */
export function encodeEntryStat(node: Node): Uint32Array {
  const words = new Uint32Array(18)
  words[0] = node.kind === 'directory' ? constants.S_IFDIR : constants.S_IFREG
  words[7] = node.id
  return words
}

/**
 * The 11 words from which fuse-native.c fills a struct statvfs. Its counts are 32 bits, so the unit grows with the space:
 * 4 KiB up to 16 TiB, then the next power of two.
 */
export function encodeStatvfs({ total, free }: Space): Uint32Array {
  let fragment = SMALLEST_FRAGMENT
  while (total / fragment >= TWO_32) fragment *= 2
  const freeFragments = Math.floor(free / fragment)
  const nameMax = 255
  return Uint32Array.of(
    fragment,
    fragment,
    Math.floor(total / fragment),
    freeFragments,
    freeFragments,
    0, // files, ffree, favail, fsid, flag
    0,
    0,
    0,
    0,
    nameMax,
  )
}

function modeOf(node: Node, { mode }: Attributes): number {
  return (node.kind === 'directory' ? constants.S_IFDIR : constants.S_IFREG) | mode
}

function wide(value: number): [low: number, high: number] {
  return [value % TWO_32, Math.floor(value / TWO_32)]
}
