import { isSheepfsError } from '../errors.ts'
import type { Patience } from '../sheep/outage.ts'
import { dataOid } from '../wire/object-id.ts'
import { writeObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import type { VolumeCore } from './volume-core.ts'

const EMPTY = new Uint8Array(0)

/**
 * A zero-length write, to any object, asks whether the inode `vid` still takes changes (docs/sheepdog-protocol.md#5.7);
 * if not, goes over to its successor and resolves with true. Updates of the inode itself are accepted by snapshots too.
 */
export async function hasBecomeSnapshot(core: VolumeCore, vid: number, patience: Patience): Promise<boolean> {
  const message = writeObject(dataOid(vid, 0), 0, EMPTY)
  const response = await core.change(vid, () => core.cluster.change(message, { patience }))
  if (response?.result === Result.READONLY) {
    await core.recover(vid)
    return true
  }
  return response === undefined
}

/**
 * Makes sure that every update of the inode acknowledged so far has reached the inode the VDI has now: one that was sent
 * while somebody took a snapshot may have been lost (docs/sheepdog-protocol.md#5.7), and is only known here until it is
 * repaired.
 */
export async function confirmUpdates(core: VolumeCore, patience: Patience): Promise<void> {
  const { updates } = core
  let wanted = updates.acknowledged
  while (!updates.areConfirmed(wanted)) {
    const seen = updates.acknowledged
    if (await hasSuccessor(core, patience)) wanted = updates.acknowledged
    else updates.confirm(seen)
  }
}

async function hasSuccessor(core: VolumeCore, patience: Patience): Promise<boolean> {
  try {
    return await hasBecomeSnapshot(core, core.vid, patience)
  } catch (error) {
    if (isSheepfsError(error, 'read-only')) return false // cloned without a snapshot: it is still the VDI's inode
    throw error
  }
}
