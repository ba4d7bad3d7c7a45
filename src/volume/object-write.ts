import { setTimeout as pause } from 'node:timers/promises'
import { resultError } from '../sheep/result-error.ts'
import { erasureStrips } from '../wire/inode.ts'
import { dataOid } from '../wire/object-id.ts'
import { createObject, readObject, writeObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { Missing } from './missing.ts'
import type { RangeHold } from './range-locks.ts'
import type { VolumeCore } from './volume-core.ts'

/**
 * Writes `data` at `offset` of object `index`. The first write of an object creates it, alone, and publishes it; those
 * that wait behind it and all later ones are plain writes, in parallel where they do not overlap (sheet 5.1, 5.3).
 * Resolves when all of it is on the cluster and reachable after a crash. Errors: read-only, no-space, stale, io.
 */
export async function writeToObject(core: VolumeCore, index: number, offset: number, data: Uint8Array): Promise<void> {
  const missing = new Missing(core.cluster)
  for (;;) {
    const known = core.index.owner(index)
    const owner = typeof known === 'number' ? known : await known
    const range = core.lockRange(offset, offset + data.length)
    const hold =
      owner === core.vid
        ? core.locks.acquire(index, range.start, range.end)
        : core.locks.acquire(index, 0, core.objectSize)
    try {
      if (hold.granted) await hold.granted
      if (await writeHeld({ core, index, hold, missing }, offset, data)) return
    } finally {
      hold.release()
    }
  }
}

interface Write {
  readonly core: VolumeCore
  readonly index: number
  readonly hold: RangeHold
  readonly missing: Missing
}

/** One try with the range held; false when it has to be held anew because the object's owner changed. */
async function writeHeld(write: Write, offset: number, data: Uint8Array): Promise<boolean> {
  const { core, index, hold } = write
  const vid = core.vid
  const known = core.index.owner(index)
  const owner = typeof known === 'number' ? known : await known
  if (owner === vid) {
    const range = core.lockRange(offset, offset + data.length)
    hold.narrow(range.start, range.end)
    const message = writeObject(dataOid(vid, index), offset, data, core.cluster.objectFlags)
    const response = await core.change(vid, () => core.cluster.change(message, { copies: core.header.nrCopies }))
    return response !== undefined && isDone(write, vid, response.result)
  }
  const isWholeObjectHeld = hold.start === 0 && hold.end === core.objectSize
  if (!isWholeObjectHeld) return false
  if (!(await createHeld(write, { vid, base: owner }, offset, data))) return false
  return core.update(vid, () => core.index.publish(index, vid))
}

async function createHeld(
  write: Write,
  owners: { vid: number; base: number },
  offset: number,
  data: Uint8Array,
): Promise<boolean> {
  const { core, index } = write
  if (core.mayHaveLeftovers && owners.base === 0) suspect(core, index)
  if (core.removing.has(index)) await awaitRemoval(core, owners.vid, index)
  const wasRemoved = core.removing.has(index) || core.removed.has(index)
  const isWhole = offset === 0 && data.length === core.objectSize
  const base = owners.base !== 0 && !isWhole ? { base: dataOid(owners.base, index) } : {}
  const message = createObject(dataOid(owners.vid, index), offset, data, { ...base, flags: core.cluster.objectFlags })
  const options = { copies: core.header.nrCopies, wasRemoved }
  const response = await core.change(owners.vid, () => core.cluster.change(message, options))
  if (!response || !(await isDone(write, owners.vid, response.result))) return false
  for (const set of [core.removing, core.removed, core.suspects]) set.delete(index)
  return true
}

function suspect({ removing, removed, suspects }: VolumeCore, index: number): void {
  if (removing.has(index) || removed.has(index)) return
  removing.add(index)
  suspects.add(index)
}

/** What a result means for the write: done, or try again after what had to be waited for. */
async function isDone({ core, index, missing }: Write, vid: number, result: number): Promise<boolean> {
  if (result === Result.SUCCESS) return true
  if (result === Result.READONLY) {
    await core.recover(vid)
    return false
  }
  const failure = resultError(result, `${core.text}: write of object ${index}`)
  if (result !== Result.NO_OBJ && result !== Result.EIO) throw failure
  await core.checkAlive()
  await missing.wait(() => failure)
  return false
}

/**
 * Waits until a discarded object is really gone: its removal, still under way, would take a new one with it. Others that
 * were discarded may be removed before, so that it only counts as one that stays when none of them goes either.
 */
async function awaitRemoval(core: VolumeCore, vid: number, index: number): Promise<void> {
  const { removalLimitMs, removalPauseMs } = core.cluster.timing
  let until = performance.now() + removalLimitMs
  while (core.removing.has(index) && performance.now() < until) {
    if (await noticeGone(core, vid, index)) return
    const [first = index] = core.removing
    const isLate = performance.now() >= until - removalLimitMs / 2
    if (await noticeGone(core, vid, first)) until = performance.now() + removalLimitMs
    else if (isLate && core.removing.delete(first)) core.removing.add(first) // it may be one that stays
    await pause(removalPauseMs)
  }
}

/** Whether the removal of an object is over. An erasure-coded one cannot be read when the first of its strips is gone. */
async function noticeGone(core: VolumeCore, vid: number, index: number): Promise<boolean> {
  const { cluster, header } = core
  const oid = dataOid(vid, index)
  const { result } = await cluster.read(readObject(oid, 0, 1, cluster.objectFlags))
  if (result !== Result.NO_OBJ) return false
  if (erasureStrips(header.copyPolicy) && (await cluster.isHeld(oid, header.nrCopies))) return false
  if (core.removing.delete(index)) core.removed.add(index)
  return true
}
