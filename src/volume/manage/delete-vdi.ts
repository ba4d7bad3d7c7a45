import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { expectSuccess, resultError } from '../../sheep/result-error.ts'
import { MAX_DATA_OBJS, StorePolicy, type InodeHeader } from '../../wire/inode.ts'
import { dataOid } from '../../wire/object-id.ts'
import { writeIndex, writeObject } from '../../wire/object-ops.ts'
import { Result } from '../../wire/sd-proto.ts'
import { deleteVdi as deleteVdiMessage, type VdiSpec } from '../../wire/vdi-ops.ts'
import { allEnded } from '../all-ended.ts'
import { acquireVdiLock, releaseVdiLock } from '../vdi-lock.ts'
import { findVdi, headerText, requireVdi, specOf } from './find-vdi.ts'
import { readIndex } from './read-index.ts'

/** Told how many of how many objects are released. */
export type OnProgress = (done: number, total: number) => void

/** Most entries that one index update clears; each makes the cluster remove or dereference an object. */
const LONGEST_RUN = 128
/** Index updates in flight. */
const PARALLEL_RUNS = 4
/** How often a request whose answer was lost is sent again. */
const ATTEMPTS = 5
const EMPTY = new Uint8Array(0)

/**
 * Deletes a VDI or a snapshot with its objects, as far as no other shares them. Errors: not-found, locked. What is cleared
 * when it fails half-way stays cleared; another attempt goes on from there. Whoever asked for it may go until then.
 */
export async function deleteVdi(
  cluster: Requests,
  specs: readonly VdiSpec[],
  onProgress: OnProgress,
): Promise<InodeHeader> {
  const header = await requireVdi(cluster, specs)
  const lock = header.isSnapshot ? undefined : await acquireVdiLock(cluster, specOf(header))
  try {
    await requireSame(cluster, header)
    // sheep walks the tree of a hyper volume itself; clearing its "index" would remove objects of others
    // (docs/sheepdog-protocol.md#4.7)
    if (header.storePolicy === StorePolicy.ARRAY) await clearIndex(cluster, header, onProgress)
    await sendDelete(cluster, header)
    return header
  } finally {
    if (lock) await releaseVdiLock(cluster.lasting, lock)
  }
}

/**
 * Makes every entry of the index 0, which is what lets the cluster release the objects: DEL_VDI with one that is not
 * hides the VDI and keeps its space (docs/sheepdog-protocol.md#2.2).
 */
async function clearIndex(cluster: Requests, header: InodeHeader, onProgress: OnProgress): Promise<void> {
  const what = headerText(header)
  const index = await readIndex(cluster, header, 0, MAX_DATA_OBJS)
  const runs = [...mappedRuns(index, 0)]
  const total = runs.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  if (total > 0) cluster.committed?.(`${what} is deleted in part, and no use any more: delete it again`)
  onProgress(done, total)
  const queue = runs.values()
  const clearNext = async (): Promise<void> => {
    for (const run of queue) {
      await requireWorking(cluster, header)
      await clearRun(cluster, header, run)
      done += run.length
      onProgress(done, total)
    }
  }
  await allEnded(Array.from({ length: PARALLEL_RUNS }, clearNext))
}

/**
 * An empty write asks whether a working VDI has become somebody's snapshot (docs/sheepdog-protocol.md#5.7): what would be cleared
 * are its data then. Throws stale.
 */
async function requireWorking(cluster: Requests, header: InodeHeader): Promise<void> {
  if (header.isSnapshot) return
  const { result } = await cluster.change(writeObject(dataOid(header.vdiId, 0), 0, EMPTY))
  if (result !== Result.READONLY) return
  await requireSame(cluster, header)
}

interface Run {
  readonly first: number
  readonly length: number
}

/** Neighbours that are not 0, at most LONGEST_RUN at a time. `offset` is the index of the first entry given. */
function* mappedRuns(entries: Uint32Array, offset: number): Generator<Run> {
  for (let first = 0; first < entries.length;) {
    let end = first
    while (end < entries.length && end - first < LONGEST_RUN && entries[end] !== 0) end++
    if (end > first) yield { first: first + offset, length: end - first }
    first = Math.max(end, first + 1)
  }
}

/**
 * An update that may have been executed is not repeated blindly: only entries that still are not 0
 * (docs/sheepdog-protocol.md#0, rule 6).
 */
async function clearRun(cluster: Requests, header: InodeHeader, run: Run): Promise<void> {
  const what = headerText(header)
  let pending: readonly Run[] = [run]
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let isLost = false
    for (const { first, length } of pending) {
      const response = await cluster.changeOnce(writeIndex(header.vdiId, first, new Array<number>(length).fill(0)))
      if (!response) isLost = true
      else expectSuccess(response, `index of ${what}`)
    }
    if (!isLost) return
    pending = [...mappedRuns(await readIndex(cluster, header, run.first, run.length), run.first)]
    if (pending.length === 0) return
  }
  throw new SheepfsError('io', `index of ${what}: the cluster lost the request ${ATTEMPTS} times`)
}

/**
 * False when the VDI is gone. Throws stale when its name means another inode by now: after a snapshot it is one that nobody
 * asked to delete.
 */
async function requireSame(cluster: Requests, header: InodeHeader): Promise<boolean> {
  const present = await findVdi(cluster, specOf(header))
  if (!present) return false
  if (present.vdiId === header.vdiId) return true
  throw new SheepfsError(
    'stale',
    `${headerText(header)} has become a snapshot, or was replaced, while it was being deleted: its snapshot may miss parts`,
  )
}

async function sendDelete(cluster: Requests, header: InodeHeader): Promise<void> {
  const what = headerText(header)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!(await requireSame(cluster, header))) return
    const response = await cluster.changeOnce(deleteVdiMessage(specOf(header)))
    if (!response) continue
    if (response.result === Result.SUCCESS || response.result === Result.NO_VDI) return
    throw resultError(response.result, what)
  }
  throw new SheepfsError('io', `${what}: the cluster lost the request ${ATTEMPTS} times`)
}
