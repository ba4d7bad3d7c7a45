import { SheepfsError, isSheepfsError } from '../errors.ts'
import { resultError } from '../sheep/result-error.ts'
import { lookupVdi, readInodeHeader } from '../sheep/vdi-lookup.ts'
import { dataOid } from '../wire/object-id.ts'
import { createObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { settleAll } from './settle-all.ts'
import { loadIndex } from './load-index.ts'
import { acquireVdiLock, releaseVdiLock, type VdiLock } from './vdi-lock.ts'
import { checkLayout, StorePolicy } from './volume-layout.ts'
import { type VolumeCore } from './volume-core.ts'
import { type VolumeIndex } from './volume-index.ts'

const EMPTY = new Uint8Array(0)
const PARALLEL_REPAIRS = 16
const INODE_LIMIT_MS = 15_000
const INODE_PAUSE_MS = 100

/**
 * Somebody made a snapshot of the inode a volume works on (sheet 5.7): takes the VDI's new inode, and publishes there what
 * was acknowledged on the old one and got lost between the two. Nothing else changes the VDI meanwhile. Errors: read-only
 * when there is no new inode, or its index is a tree, of which sheep counts no references; stale when the VDI is gone.
 */
export async function recoverFromSnapshot(core: VolumeCore): Promise<void> {
  const oldVid = core.vid
  const old = core.index
  const lock = await lockSuccessor(core) // a lock belongs to an inode, not to a name
  const { vid } = lock
  const header = await headerOf(core, vid)
  checkLayout(header, core.text)
  const index = await loadIndex(core.cluster, header)
  const repaired = await reconcile({ core, oldVid, vid, old, index })
  core.incarnation = { header, index }
  if (core.lock) await releaseVdiLock(core.cluster, core.lock)
  core.lock = lock
  core.removing.clear()
  core.log.info(
    { from: oldVid.toString(16), to: vid.toString(16), repaired },
    `${core.text}: a snapshot was taken; writing goes on in the new inode`,
  )
}

async function lockSuccessor(core: VolumeCore): Promise<VdiLock> {
  try {
    const spec = { name: core.spec.name }
    const { vid } = await lookupVdi(core.cluster, spec)
    if (vid !== core.vid) {
      checkSnapshots(core)
      return await acquireVdiLock(core.cluster, spec)
    }
  } catch (error) {
    if (!isSheepfsError(error, 'not-found')) throw error
    throw new SheepfsError('stale', `${core.text} was deleted while attached`, { cause: error })
  }
  throw new SheepfsError('read-only', `${core.text} takes no writes: it was cloned without a snapshot`)
}

function checkSnapshots({ header, text }: VolumeCore): void {
  if (header.storePolicy !== StorePolicy.BTREE) return
  throw new SheepfsError('read-only', `${text} takes no writes: it is a hyper volume and was made a snapshot`)
}

/** The new inode is written after it is announced, so that for a moment it may be missing. */
async function headerOf(core: VolumeCore, vid: number): ReturnType<typeof readInodeHeader> {
  const until = performance.now() + INODE_LIMIT_MS
  for (;;) {
    try {
      return await readInodeHeader(core.cluster, vid)
    } catch (error) {
      if (!isSheepfsError(error, 'stale') || performance.now() > until) throw error
      await new Promise((resolve) => setTimeout(resolve, INODE_PAUSE_MS))
    }
  }
}

interface Reconciliation {
  readonly core: VolumeCore
  readonly oldVid: number
  readonly vid: number
  readonly old: VolumeIndex
  readonly index: VolumeIndex
}

/** Repairs every entry whose acknowledged change did not reach the new inode; resolves with how many there were. */
async function reconcile(reconciliation: Reconciliation): Promise<number> {
  const { old, index, oldVid } = reconciliation
  const lost: number[] = []
  for (let i = 0; i < old.objectCount; i++) {
    const had = await old.owner(i)
    const has = await index.owner(i)
    const isLostCreate = had === oldVid && has !== oldVid
    const isLostDiscard = had === 0 && has !== 0
    if (isLostCreate || isLostDiscard) lost.push(i)
  }
  for (let done = 0; done < lost.length; done += PARALLEL_REPAIRS) {
    const group = lost.slice(done, done + PARALLEL_REPAIRS)
    await settleAll(group.map((i) => repair(reconciliation, i)))
  }
  return lost.length
}

async function repair({ core, oldVid, vid, old, index }: Reconciliation, i: number): Promise<void> {
  if ((await old.owner(i)) === 0) return index.publish(i, 0)
  const message = createObject(dataOid(vid, i), 0, EMPTY, { base: dataOid(oldVid, i) })
  const { result } = await core.cluster.change(message)
  if (result !== Result.SUCCESS) throw resultError(result, `${core.text}: repair of object ${i} after a snapshot`)
  await index.publish(i, vid)
}
