import { SheepfsError } from '../../errors.ts'
import { readNodes } from '../../sheep/cluster-info.ts'
import type { Requests } from '../../sheep/requests.ts'
import { vdiText } from '../../sheep/vdi-lookup.ts'
import { getClusterDefault, parseClusterDefault } from '../../wire/info-ops.ts'
import { DEFAULT_BLOCK_SIZE_SHIFT, objectCount, StorePolicy, type InodeHeader } from '../../wire/inode.ts'
import { Result } from '../../wire/sd-proto.ts'
import { newVdi } from '../../wire/vdi-ops.ts'
import { maxObjects } from '../volume-layout.ts'
import { findVdi } from './find-vdi.ts'
import { sendNewVdi } from './new-vdi.ts'
import { vdiTextBytes } from './vdi-text.ts'

/** How the objects of a VDI are kept: so many copies, or strips of an erasure code. */
export type Redundancy =
  | { readonly kind: 'copies'; readonly copies: number }
  | { readonly kind: 'strips'; readonly data: number; readonly parity: number }

export interface NewVdiOptions {
  readonly name: string
  /** Bytes, 1 and more. */
  readonly size: number
  /** Default: the cluster's. */
  readonly redundancy?: Redundancy | undefined
  /** Object size as a power of two, 20 to 31. Default: the cluster's. */
  readonly blockSizeShift?: number | undefined
  /** A B-tree index instead of an array. */
  readonly isHyper?: boolean | undefined
}

/** What dog allows (docs/sheepdog-protocol.md#3.4). */
const MIN_SHIFT = 20
const MAX_SHIFT = 31
/** SD_MAX_COPIES. */
const MAX_COPIES = 31
const DATA_STRIPS = [2, 4, 8, 16]
const MAX_PARITY = 15

/**
 * Makes an empty VDI. Refused is also what sheep would take and never serve rightly (docs/sheepdog-protocol.md#1.9).
 * Errors: exists, invalid, name-too-long, too-large, no-space.
 */
export async function createVdi(cluster: Requests, options: NewVdiOptions): Promise<InodeHeader> {
  const name = vdiTextBytes('name', options.name)
  const what = vdiText({ name })
  const storePolicy = options.isHyper === true ? StorePolicy.BTREE : StorePolicy.ARRAY
  const blockSizeShift = await shiftOf(cluster, options)
  checkSize(what, options.size, { storePolicy, blockSizeShift })
  const redundancy = options.redundancy ? await redundancyOf(cluster, options.redundancy) : { copies: 0, copyPolicy: 0 }
  if (await findVdi(cluster, { name })) throw new SheepfsError('exists', `${what}: the name is taken`)
  const { size } = options
  return sendNewVdi(
    cluster,
    what,
    () => newVdi({ name, size, storePolicy, blockSizeShift, ...redundancy }),
    () => findVdi(cluster, { name }),
  )
}

/** Throws invalid and too-large: bytes beyond what the index can address are never served. */
export function checkSize(
  what: string,
  size: number,
  { storePolicy, blockSizeShift }: Pick<InodeHeader, 'storePolicy' | 'blockSizeShift'>,
): void {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new SheepfsError('invalid', `${what}: ${size} is not a size: expected a number of bytes, at least 1`)
  }
  const most = maxObjects(storePolicy)
  if (objectCount(size, blockSizeShift) <= most) return
  const hint = storePolicy === StorePolicy.ARRAY ? '; make a hyper volume, or one with larger objects' : ''
  const limit = most * 2 ** (blockSizeShift - 40)
  throw new SheepfsError('too-large', `${what}: ${size} bytes are more than its index addresses, ${limit} TiB${hint}`)
}

async function shiftOf(cluster: Requests, { blockSizeShift: wanted, isHyper }: NewVdiOptions): Promise<number> {
  if (isHyper === true) {
    if (wanted === undefined || wanted === DEFAULT_BLOCK_SIZE_SHIFT) return DEFAULT_BLOCK_SIZE_SHIFT
    throw new SheepfsError('invalid', `object size shift ${wanted}: hyper volumes have objects of 4 MiB only, 22`)
  }
  if (wanted === undefined) return defaultShift(cluster)
  if (Number.isInteger(wanted) && wanted >= MIN_SHIFT && wanted <= MAX_SHIFT) return wanted
  throw new SheepfsError('invalid', `object size shift ${wanted}: expected ${MIN_SHIFT} to ${MAX_SHIFT}`)
}

/** The cluster's; before 1.0 it cannot tell, and has 4 MiB only. */
async function defaultShift(cluster: Requests): Promise<number> {
  const response = await cluster.read(getClusterDefault())
  if (response.result !== Result.SUCCESS) return DEFAULT_BLOCK_SIZE_SHIFT
  return parseClusterDefault(response).blockSizeShift || DEFAULT_BLOCK_SIZE_SHIFT
}

/** The fields of NEW_VDI. A policy whose low nibble is 0 kills sheep (docs/sheepdog-protocol.md#1.9). */
async function redundancyOf(cluster: Requests, wanted: Redundancy): Promise<{ copies: number; copyPolicy: number }> {
  if (wanted.kind === 'copies') {
    const { copies } = wanted
    if (Number.isInteger(copies) && copies >= 1 && copies <= MAX_COPIES) return { copies, copyPolicy: 0 }
    throw new SheepfsError('invalid', `${copies} copies are not possible: expected 1 to ${MAX_COPIES}`)
  }
  const { data, parity } = wanted
  if (!DATA_STRIPS.includes(data) || !Number.isInteger(parity) || parity < 1 || parity > MAX_PARITY) {
    throw new SheepfsError(
      'invalid',
      `strips ${data}:${parity} are not possible: expected ${DATA_STRIPS.join(', ')} of data and 1 to ${MAX_PARITY} of parity`,
    )
  }
  const zones = new Set((await readNodes(cluster)).filter(({ nrVnodes }) => nrVnodes > 0).map(({ zone }) => zone)).size
  if (zones >= data + parity) return { copies: data + parity, copyPolicy: ((data / 2) << 4) | parity }
  throw new SheepfsError('invalid', `strips ${data}:${parity} need ${data + parity} zones: the cluster has ${zones}`)
}
