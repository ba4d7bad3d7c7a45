import { INODE_HEADER_SIZE, MAX_DATA_OBJS, objectCount, StorePolicy, type InodeHeader } from '../wire/inode.ts'
import { SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { readDelVdis, readVdis, VDI_BITMAP_SIZE, vidsOf } from '../wire/vdi-ops.ts'
import type { Clock, Timer } from '../clock.ts'
import { isSheepfsError, type ErrorCode } from '../errors.ts'
import { countTreeEntries } from './btree-count.ts'
import { readNodes } from './cluster-info.ts'
import { mapInOrder } from './map-in-order.ts'
import { breach } from './parse-answer.ts'
import type { Requests } from './requests.ts'
import { expectSuccess } from './result-error.ts'
import { readInode, readInodeHeader } from './vdi-lookup.ts'

/** What `dog vdi list` tells of one VDI or snapshot. */
export interface VdiSummary {
  readonly header: InodeHeader
  /** Objects of its own. */
  readonly used: number
  /** Objects inherited from another vid. */
  readonly shared: number
}

/** Inodes read at the same time; an index has up to 4 MiB. */
const PARALLEL_INODES = 4
/** How long the first inode that no sheep answers for is waited for, and then the others: one silent sheep may hold many. */
const SILENT_LIMIT_MS = 2000
const NEXT_SILENT_LIMIT_MS = 500
/** VDIs and snapshots that are listed. */
const MOST_VDIS = 2 ** 16

/**
 * Every VDI and snapshot, by ascending vid, without deleted and unreadable ones and those whose holders are silent. Two bits per vid are asked for, then one
 * inode head each. Errors: unreachable, timeout, not-formatted; protocol, more than can be listed.
 */
export async function listVdiHeaders(cluster: Requests): Promise<InodeHeader[]> {
  const vids = await listVids(cluster)
  let silent = 0
  const headers = await mapInOrder(vids, PARALLEL_INODES, (vid) => {
    const reading = ifThere(readInodeHeader(cluster, vid), ['stale', 'io'])
    return soon(cluster.clock, reading, {
      limitMs: silent === 0 ? SILENT_LIMIT_MS : NEXT_SILENT_LIMIT_MS,
      onLate: () => silent++,
    })
  })
  if (silent > 0) await readNodes(cluster) // or it is not some sheep that are silent
  return headers.filter((header) => header !== undefined && header.name.length > 0) as InodeHeader[]
}

/** As `listVdiHeaders`, with the objects each has; reads the part of every index that is in use. */
export async function listVdis(cluster: Requests): Promise<VdiSummary[]> {
  const headers = await listVdiHeaders(cluster)
  const vdis = await mapInOrder(headers, PARALLEL_INODES, (header) => ifThere(summarizeVdi(cluster, header), ['stale']))
  return vdis.filter((vdi) => vdi !== undefined)
}

/** Counts the objects of one VDI. */
export async function summarizeVdi(cluster: Requests, header: InodeHeader): Promise<VdiSummary> {
  return { header, ...(await countObjects(cluster, header)) }
}

async function listVids(cluster: Requests): Promise<number[]> {
  const used = await cluster.query(readVdis())
  expectSuccess(used, 'VDI list')
  const isGone = (await readDeleted(cluster)) ?? new Uint8Array(VDI_BITMAP_SIZE)
  const vids: number[] = []
  for (const vid of vidsOf(used.payload)) {
    if ((((isGone[vid >> 3] ?? 0) >> (vid & 7)) & 1) === 1) continue
    if (vids.length === MOST_VDIS) throw breach(cluster, `more than ${MOST_VDIS} VDIs and snapshots`)
    vids.push(vid)
  }
  return vids
}

/** What is read; undefined when that takes longer. */
async function soon<T>(
  clock: Clock,
  reading: Promise<T>,
  { limitMs, onLate }: { readonly limitMs: number; readonly onLate: () => void },
): Promise<T | undefined> {
  let timer: Timer | undefined
  const late = new Promise<undefined>((resolve) => {
    const end = (): void => {
      onLate()
      resolve(undefined)
    }
    timer = clock.after(limitMs, end, { isBackground: true })
  })
  try {
    return await Promise.race([reading, late])
  } finally {
    timer?.cancel()
  }
}

/** What is read of a VDI; undefined when that fails with one of `codes`: it has gone meanwhile, or cannot be read. */
async function ifThere<T>(reading: Promise<T>, codes: readonly ErrorCode[]): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isSheepfsError(error) && codes.includes(error.code)) return undefined
    throw error
  }
}

/**
 * Undefined where the cluster does not tell. A sheep of 0.8 dies of the question, and looks like one of 0.9; nothing is lost
 * without an answer, because the inode of a deleted VDI has no name.
 */
async function readDeleted(cluster: Requests): Promise<Uint8Array | undefined> {
  if (cluster.protoVer < SD_SHEEP_PROTO_VERS[0]) return undefined
  const { payload } = await cluster.query(readDelVdis())
  return payload.length === VDI_BITMAP_SIZE ? payload : undefined
}

async function countObjects(cluster: Requests, header: InodeHeader): Promise<{ used: number; shared: number }> {
  if (header.storePolicy !== StorePolicy.ARRAY) return countTreeEntries(cluster, header.vdiId)
  const count = Math.min(objectCount(header.vdiSize, header.blockSizeShift), MAX_DATA_OBJS)
  const index = new Uint32Array(count)
  await readInode(cluster, { vid: header.vdiId }, INODE_HEADER_SIZE, new Uint8Array(index.buffer))
  let used = 0
  let shared = 0
  for (const vid of index) {
    if (vid === header.vdiId) used++
    else if (vid !== 0) shared++
  }
  return { used, shared }
}
