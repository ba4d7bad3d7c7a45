import { SheepfsError } from '../errors.ts'
import { addressText } from '../sheep/address.ts'
import type { BookedLock } from '../sheep/lock-book.ts'
import { breach } from '../sheep/parse-answer.ts'
import type { Requests } from '../sheep/requests.ts'
import type { LockedState } from '../sheep/lock-table.ts'
import { resultError } from '../sheep/result-error.ts'
import { lookupVdi, vdiText } from '../sheep/vdi-lookup.ts'
import { Result } from '../wire/sd-proto.ts'
import { lockVdi, LockType, parseVdiAnswer, releaseVdi, type VdiSpec } from '../wire/vdi-ops.ts'

/** Refusals of a lock that nobody seems to have. */
const MAX_REFUSALS = 3
/** How often it is looked at and asked for: others cannot break it oftener, right after it was taken. */
const ATTEMPTS = 8

export interface LockOptions {
  /** Take the lock from whoever has it. */
  readonly breakLock?: boolean
  /** One of these is our own, taken by a predecessor of this process. */
  readonly ownLocks?: readonly BookedLock[]
  /** After an outage, which may have lost all locks, leave it for a moment to whoever had it. */
  readonly yieldsToFormer?: boolean
}

/** The lock of a vid. */
export interface VdiLock {
  readonly vid: number
  /**
   * The sheep through which it was taken (docs/sheepdog-protocol.md#6.2), as the cluster names it: the address it is reached
   * by may be another. Undefined where the cluster keeps no locks.
   */
  readonly owner: string | undefined
}

/**
 * Takes the lock of a working VDI, and tells which inode it has; only that when the cluster keeps no locks. Errors:
 * locked, saying through which sheep it is held and how to break it; not-found, protocol.
 */
export async function acquireVdiLock(cluster: Requests, spec: VdiSpec, options: LockOptions = {}): Promise<VdiLock> {
  if (!cluster.hasLocking) return { vid: (await lookupVdi(cluster, spec)).vid, owner: undefined }
  const tried = new Set<number>()
  let held: BookedLock | undefined
  try {
    held = await takeLock(cluster, spec, options, (lock) => {
      tried.add(lock.vid)
      cluster.locks.note(lock)
    })
    cluster.locks.note(held)
    return held
  } finally {
    for (const vid of tried) if (vid !== held?.vid) cluster.locks.strike(vid)
  }
}

/** `onTry`: told of a lock that nobody has, before it is asked for. */
async function takeLock(
  cluster: Requests,
  spec: VdiSpec,
  options: LockOptions,
  onTry: (lock: BookedLock) => void,
): Promise<BookedLock> {
  const ownLocks = [...(options.ownLocks ?? [])]
  let refusals = 0
  let isBreaking = options.breakLock === true
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { vid: wanted } = await lookupVdi(cluster, spec)
    const before = (await cluster.lockStates()).get(wanted)
    const own = ownLocks.find(({ vid, owner }) => vid === wanted && owner === before?.owner)
    if (own) return own
    if (before && !isBreaking) throw lockedError(spec, before)
    if (before) {
      isBreaking = false
      await cluster.change(releaseVdi(wanted, before.owner === undefined ? LockType.SHARED : LockType.NORMAL))
    }
    if (options.yieldsToFormer === true && !before && (await cluster.lockGrace())) continue
    const gateway = cluster.homePeer
    if (gateway) onTry({ vid: wanted, owner: addressText(gateway) })
    const response = await cluster.changeOnce(lockVdi(spec))
    if (!response) {
      // it may have been taken before the connection broke, through either of these
      for (const address of [gateway, cluster.homePeer])
        if (address) ownLocks.push({ vid: wanted, owner: addressText(address) })
      continue
    }
    const isTaken = response.result === Result.SUCCESS
    if (!isTaken && response.result !== Result.VDI_LOCKED) throw resultError(response.result, vdiText(spec))
    if (!isTaken) {
      if (++refusals === MAX_REFUSALS) throw lockedError(spec, { owner: '(unknown)' })
      continue // somebody has it since we looked
    }
    const { vid } = parseVdiAnswer(response)
    // whoever waits for it may go now, and it has to be known to be given back
    const lock = (await cluster.lasting.lockStates()).get(vid)
    if (lock?.owner !== undefined) return { vid, owner: lock.owner }
    // else it was broken by somebody before it could be looked at
  }
  throw breach(cluster, `${vdiText(spec)} is not locked, though its lock was given ${ATTEMPTS} times`)
}

/** Gives a lock back, unless it was broken and others hold it by now. */
export async function releaseVdiLock(cluster: Requests, { vid, owner }: VdiLock): Promise<void> {
  if (owner === undefined) return
  const lock = (await cluster.lockStates()).get(vid)
  if (lock?.owner === owner) await cluster.change(releaseVdi(vid))
  cluster.locks.strike(vid)
}

function lockedError(spec: VdiSpec, { owner }: LockedState): SheepfsError {
  const holder = owner === undefined ? 'shared by clients of iSCSI multipath' : `locked by a client of sheep ${owner}`
  return new SheepfsError(
    'locked',
    `${vdiText(spec)} is ${holder}; when that client is gone for good, attach it with --break-lock`,
  )
}
