import { SheepfsError, isSheepfsError } from '../errors.ts'
import { expectSuccess, mayAppear, resultError } from '../sheep/result-error.ts'
import { lookupVdi, readInodeHeader } from '../sheep/vdi-lookup.ts'
import { StorePolicy, type InodeHeader } from '../wire/inode.ts'
import { dataOid } from '../wire/object-id.ts'
import { createObject, writeVdiSize } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { isDescendant } from './inode-identity.ts'
import { loadIndex } from './index/load-index.ts'
import { Missing, whileMissing } from './missing.ts'
import { checkLayout } from './volume-layout.ts'
import { allEnded } from './all-ended.ts'
import type { Incarnation, VolumeCore } from './volume-core.ts'
import type { VolumeIndex } from './index/volume-index.ts'

const EMPTY = new Uint8Array(0)
const PARALLEL_REPAIRS = 16

/**
 * Somebody made a snapshot of the inode a volume works on (docs/sheepdog-protocol.md#5.7): takes the VDI's new inode,
 * and publishes there what was acknowledged on the old one and got lost between the two. Nothing else changes the VDI
 * meanwhile. Can be done again when it fails. Errors: read-only when there is no new inode, or its index is a tree, of
 * which sheep counts no references; stale when the VDI is gone or has other content.
 */
export async function recoverFromSnapshot(core: VolumeCore): Promise<void> {
  for (;;) {
    const vid = await findSuccessor(core)
    if (await goOver(core, vid)) {
      await core.lock?.goOver()
      return
    }
    core.log.info(`${core.text}: another snapshot was taken before the first was dealt with`)
    await core.lock?.releaseNext()
  }
}

/** False when the new inode takes no changes either. */
async function goOver(core: VolumeCore, vid: number): Promise<boolean> {
  const from = core.vid
  const to = await loadSuccessor(core, vid)
  const lost = await lostUpdates(core, to.index)
  for (let done = 0; done < lost.length; done += PARALLEL_REPAIRS) {
    const group = lost.slice(done, done + PARALLEL_REPAIRS)
    const isRepaired = await allEnded(group.map((index) => repair(core, to, index)))
    if (isRepaired.includes(false)) return false
  }
  core.adopt(to)
  core.updates.acknowledge(lost.length)
  core.log.info(
    { from: from.toString(16), to: vid.toString(16), repaired: lost.length },
    `${core.text}: a snapshot was taken; writing goes on in the new inode`,
  )
  return true
}

/** The vid of the inode that comes next, locked. */
async function findSuccessor(core: VolumeCore): Promise<number> {
  try {
    const { vid } = await lookupVdi(core.cluster, { name: core.spec.name })
    if (vid !== core.vid) {
      checkSnapshots(core)
      return (await core.lock?.acquireNext()) ?? vid
    }
  } catch (error) {
    if (!isSheepfsError(error, 'not-found')) throw error
    throw new SheepfsError('stale', `${core.text} was deleted while attached, or a snapshot of it has failed`, {
      cause: error,
    })
  }
  const why = 'it was cloned without a snapshot, or one has failed: take a snapshot of it'
  throw new SheepfsError('read-only', `${core.text} takes no writes: ${why}`)
}

function checkSnapshots({ header, text }: VolumeCore): void {
  if (header.storePolicy !== StorePolicy.BTREE) return
  throw new SheepfsError('read-only', `${text} takes no writes: it is a hyper volume and was made a snapshot`)
}

/** The new inode is written after it is announced, so that for a moment it may be missing. */
async function loadSuccessor(core: VolumeCore, vid: number): Promise<Incarnation> {
  const read = await whileMissing(core.cluster, () => readInodeHeader(core.cluster, vid))
  checkLayout(read, core.text)
  const isSameKind = read.blockSizeShift === core.header.blockSizeShift && read.storePolicy === core.header.storePolicy
  if (!isSameKind || !(await isDescendant(core.cluster, read, core.vid))) {
    throw new SheepfsError('stale', `${core.text} was replaced or rolled back while attached: attach it again`)
  }
  const header = await keepSize(core, read)
  return { header, index: await loadIndex(core.cluster, header) }
}

/** A size that was acknowledged on the old inode while the new one was made from what it was before. */
async function keepSize(core: VolumeCore, header: InodeHeader): Promise<InodeHeader> {
  const { vdiSize } = core.header
  if (header.vdiSize >= vdiSize) return header
  expectSuccess(await core.cluster.change(writeVdiSize(header.vdiId, vdiSize)), `${core.text}: size after a snapshot`)
  return { ...header, vdiSize }
}

/** The objects whose acknowledged change did not reach the new inode. */
async function lostUpdates({ vid, index: old }: VolumeCore, index: VolumeIndex): Promise<number[]> {
  const lost = new Set<number>()
  for (let i = await old.next(0, 'data'); i < old.objectCount; i = await old.next(i + 1, 'data')) {
    if ((await old.owner(i)) === vid && (await index.owner(i)) !== vid) lost.add(i)
  }
  for (let i = await index.next(0, 'data'); i < old.objectCount; i = await index.next(i + 1, 'data')) {
    if ((await old.owner(i)) === 0) lost.add(i)
  }
  return [...lost]
}

/** False when the new inode has become a snapshot too. */
async function repair(core: VolumeCore, { header, index }: Incarnation, i: number): Promise<boolean> {
  if ((await core.index.owner(i)) === 0) {
    await index.publish(i, 0)
    return true
  }
  const base = dataOid(core.vid, i)
  const message = createObject(dataOid(header.vdiId, i), 0, EMPTY, base)
  return core.request(async (patience) => {
    const missing = new Missing(core.cluster, patience)
    for (;;) {
      const { result } = await core.cluster.change(message, { ...core.objectOptions, patience })
      if (result === Result.READONLY) return false
      if (result === Result.SUCCESS) break
      const failure = resultError(result, `${core.text}: repair of object ${i} after a snapshot`)
      if (!mayAppear(result)) throw failure
      await missing.wait(failure)
    }
    await index.publish(i, header.vdiId, patience)
    return true
  })
}
