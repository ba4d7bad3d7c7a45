import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { BookedLock } from '../sheep/lock-book.ts'
import { breach } from '../sheep/parse-answer.ts'
import type { Requests } from '../sheep/requests.ts'
import type { Waiter } from '../sheep/waiter.ts'
import { isNamedBy, lookupVdi, readInodeHeader, vdiText } from '../sheep/vdi-lookup.ts'
import type { VdiAnswer, VdiSpec } from '../wire/vdi-ops.ts'
import { HeldLock } from './held-lock.ts'
import { checkFormer, checkSuccessor, type InodeIdentity } from './inode-identity.ts'
import { loadIndex } from './index/load-index.ts'
import { whileMissing } from './missing.ts'
import { checkLayout } from './volume-layout.ts'
import { acquireVdiLock, releaseVdiLock, type VdiLock } from './vdi-lock.ts'
import { recoverFromSnapshot } from './snapshot-recovery.ts'
import { VolumeCore } from './volume-core.ts'
import { Volume } from './volume.ts'

/** How often the VDI is looked up: nobody makes snapshots of it faster. */
const ATTEMPTS = 8

export interface OpenVolumeOptions {
  readonly log: Logger
  /** Take no writes, and no lock. A snapshot never takes any. */
  readonly readOnly?: boolean
  /** Take the VDI's lock from whoever has it. */
  readonly breakLock?: boolean
  /** What a predecessor of this process may have locked: one of these is our own. */
  readonly ownLocks?: readonly BookedLock[]
  /** Attach it only while it is the same VDI: the inode that a predecessor of this process worked on. */
  readonly former?: InodeIdentity | undefined
  /** Called when another sheep may hold the lock than before: the VDI has got another inode. */
  readonly onLock?: () => void
  /** Who waits for it; when he waits no more, nothing of it stays. */
  readonly waiter?: Waiter
}

/**
 * Attaches a VDI or a snapshot; a VDI that may be written to is locked where the cluster keeps locks. Errors: not-found,
 * locked, not-supported, too-large; unreachable, protocol.
 */
export async function openVolume(anyCluster: Cluster, spec: VdiSpec, options: OpenVolumeOptions): Promise<Volume> {
  const { waiter } = options
  await anyCluster.verify(waiter)
  const cluster = anyCluster.present
  if (options.former) await checkFormer(cluster, spec, options.former)
  const errand = waiter && cluster.errand(waiter)
  const attach = (): Promise<Volume> => attachPresent(cluster, errand ?? cluster, spec, options)
  try {
    // of a VDI that was seen just now a sheep knows nothing when those that have it are away
    return await (options.former ? whileMissing(cluster, attach, { codes: ['not-found', 'io'] }) : attach())
  } finally {
    errand?.end()
  }
}

async function attachPresent(
  cluster: Cluster,
  asked: Requests,
  spec: VdiSpec,
  options: OpenVolumeOptions,
): Promise<Volume> {
  const yieldsToFormer = (options.ownLocks ?? []).length === 0
  const isWritable = options.readOnly !== true && isWorkingVdi(spec)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const lock = isWritable ? await acquireVdiLock(asked, spec, { ...options, yieldsToFormer }) : undefined
    let volume: Volume | undefined
    try {
      if (lock) await cluster.emptyObjectCaches(lock.vid)
      volume = await openInode(cluster, spec, lock ?? (await lookupVdi(asked, spec)), options)
    } finally {
      if (lock && !volume) await releaseVdiLock(cluster, lock)
    }
    if (volume) return volume
  }
  throw breach(cluster, `the inode of ${vdiText(spec)} was another one ${ATTEMPTS} times`)
}

/** Undefined when the working VDI has become a snapshot since it was looked up, or the inode has been made again. */
async function openInode(
  cluster: Cluster,
  spec: VdiSpec,
  held: VdiLock | VdiAnswer,
  { log, waiter, onLock, former }: OpenVolumeOptions,
): Promise<Volume | undefined> {
  const text = vdiText(spec)
  const header = await whileMissing(cluster, () => readInodeHeader(cluster, held.vid)).catch((error: unknown) => {
    if (!isSheepfsError(error, 'stale')) throw error
    throw new SheepfsError('not-found', `${text}: no such VDI (its inode is missing)`, { cause: error })
  })
  if (!isNamedBy(header, spec) || (header.isSnapshot && isWorkingVdi(spec))) return undefined
  if (former) await checkSuccessor(cluster, spec, { former, header })
  checkLayout(header, text)
  const index = await loadIndex(cluster, header)
  waiter?.signal.throwIfAborted()
  const lock = 'owner' in held ? new HeldLock(held, { cluster, spec, log, onChange: onLock }) : undefined
  const core = new VolumeCore({ cluster, spec, incarnation: { header, index }, lock, recoverFromSnapshot, log })
  lock?.watch((failure) => {
    core.fail(failure)
  })
  if (lock) core.removals.suspectFormer()
  return new Volume(core)
}

function isWorkingVdi(spec: VdiSpec): boolean {
  return (spec.tag === undefined || spec.tag.length === 0) && (spec.snapId ?? 0) === 0
}
