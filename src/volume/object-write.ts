import type { Patience } from '../sheep/outage.ts'
import { mayAppear, resultError } from '../sheep/result-error.ts'
import { dataOid } from '../wire/object-id.ts'
import { createObject, writeObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { Missing } from './missing.ts'
import type { ObjectPart } from './volume-layout.ts'
import type { RangeHold } from './range-locks.ts'
import type { VolumeCore } from './volume-core.ts'

/**
 * Writes `data` at `offset` of object `index`. The first write of an object creates it, alone, and publishes it; those
 * that wait behind it and all later ones are plain writes, in parallel where they do not overlap
 * (docs/sheepdog-protocol.md#5.1, #5.3). Resolves when all of it is on the cluster and reachable after a crash. Errors:
 * read-only, no-space, stale, io.
 */
export async function writeToObject(
  core: VolumeCore,
  { index, offset }: Pick<ObjectPart, 'index' | 'offset'>,
  data: Uint8Array,
  patience: Patience,
): Promise<void> {
  const missing = new Missing(core.cluster, patience)
  while (!(await writeOnce(core, { index, missing }, offset, data)));
}

/** One try; false when the object's owner changed. */
async function writeOnce(
  core: VolumeCore,
  { index, missing }: Pick<Write, 'index' | 'missing'>,
  offset: number,
  data: Uint8Array,
): Promise<boolean> {
  const known = core.index.owner(index)
  const owner = typeof known === 'number' ? known : await known
  const range = core.lockRange(offset, offset + data.length)
  const hold =
    owner === core.vid
      ? core.locks.acquire(index, range.start, range.end)
      : core.locks.acquire(index, 0, core.objectSize)
  try {
    if (hold.granted) await hold.granted
    return await writeHeld({ core, index, hold, missing }, offset, data)
  } finally {
    hold.release()
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
  const { patience } = write.missing
  const vid = core.vid
  const known = core.index.owner(index)
  const owner = typeof known === 'number' ? known : await known
  if (owner === vid) {
    const range = core.lockRange(offset, offset + data.length)
    hold.narrow(range.start, range.end)
    const message = writeObject(dataOid(vid, index), offset, data)
    const response = await core.change(vid, () => core.cluster.change(message, { ...core.objectOptions, patience }))
    return response !== undefined && isDone(write, vid, response.result)
  }
  const isWholeObjectHeld = hold.start === 0 && hold.end === core.objectSize
  if (!isWholeObjectHeld) return false
  if (!(await createHeld(write, { vid, base: owner }, offset, data))) return false
  return core.update(vid, () => core.index.publish(index, vid, patience))
}

async function createHeld(
  write: Write,
  owners: { vid: number; base: number },
  offset: number,
  data: Uint8Array,
): Promise<boolean> {
  const { core, index } = write
  const { patience } = write.missing
  const wasRemoved = owners.base === 0 && (await core.removals.ended(index, patience))
  const isWhole = offset === 0 && data.length === core.objectSize
  const base = owners.base !== 0 && !isWhole ? dataOid(owners.base, index) : undefined
  const message = createObject(dataOid(owners.vid, index), offset, data, base)
  const options = { ...core.objectOptions, wasRemoved, patience }
  const response = await core.change(owners.vid, () => core.cluster.change(message, options))
  if (!response || !(await isDone(write, owners.vid, response.result))) return false
  core.removals.created(index)
  return true
}

/** What a result means for the write: done, or try again after what had to be waited for. */
async function isDone({ core, index, missing }: Write, vid: number, result: number): Promise<boolean> {
  if (result === Result.SUCCESS) return true
  if (result === Result.READONLY) {
    await core.recover(vid)
    return false
  }
  const failure = resultError(result, `${core.text}: write of object ${index}`)
  if (!mayAppear(result)) throw failure
  await core.checkAlive(missing.patience)
  await missing.wait(failure)
  return false
}
