import { SheepfsError } from '../errors.ts'
import { addressText } from '../sheep/address.ts'
import type { BookedLock } from '../sheep/lock-book.ts'
import type { Requests } from '../sheep/requests.ts'
import { expectSuccess, resultError } from '../sheep/result-error.ts'
import { lookupVdi, vdiText } from '../sheep/vdi-lookup.ts'
import { getVdiCopies, LockState, VDI_STATE_SIZE, VdiState } from '../wire/info-ops.ts'
import { addrText } from '../wire/node-record.ts'
import { viewOf } from '../wire/field.ts'
import { Result } from '../wire/sd-proto.ts'
import { lockVdi, LockType, parseVdiAnswer, releaseVdi, type VdiSpec } from '../wire/vdi-ops.ts'

/** Room for the first question; the answer is asked again with twice the room while it does not fit. */
const FIRST_STATES = 512
const MAX_STATES = 2 ** 20

export interface LockOptions {
  /** Take the lock from whoever has it. */
  readonly breakLock?: boolean
  /** A lock that one of these has is our own, taken by a predecessor of this process; `host:port`. */
  readonly ownOwners?: readonly string[]
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
 * locked, saying through which sheep it is held and how to break it; not-found.
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
  const ownOwners = new Set(options.ownOwners)
  for (let isBreaking = options.breakLock === true; ;) {
    const { vid: wanted } = await lookupVdi(cluster, spec)
    const before = await readLock(cluster, wanted)
    const gateway = cluster.homePeer
    if (before.owner === undefined && gateway) onTry({ vid: wanted, owner: addressText(gateway) })
    const response = await cluster.changeOnce(lockVdi(spec))
    if (!response) {
      // it may have been taken before the connection broke, through either of these, unless somebody had it before
      const possible = before.owner === undefined ? [gateway, cluster.homePeer] : []
      for (const address of possible) if (address) ownOwners.add(addressText(address))
      continue
    }
    const isTaken = response.result === Result.SUCCESS
    if (!isTaken && response.result !== Result.VDI_LOCKED) throw resultError(response.result, vdiText(spec))
    const vid = isTaken ? parseVdiAnswer(response).vid : (await lookupVdi(cluster, spec)).vid
    // whoever waits for it may go now, and it has to be known to be given back
    const lock = await readLock(isTaken ? cluster.lasting : cluster, vid)
    if (lock.owner !== undefined && (isTaken || ownOwners.has(lock.owner))) return { vid, owner: lock.owner }
    if (isTaken) continue // broken by somebody before it could be looked at
    if (!isBreaking) throw lockedError(spec, lock)
    isBreaking = false
    await cluster.change(releaseVdi(vid, lock.isShared ? LockType.SHARED : LockType.NORMAL))
  }
}

/** Gives a lock back, unless it was broken and others hold it by now. */
export async function releaseVdiLock(cluster: Requests, { vid, owner }: VdiLock): Promise<void> {
  if (owner === undefined) return
  const lock = await readLock(cluster, vid)
  if (lock.owner === owner) await cluster.change(releaseVdi(vid))
  cluster.locks.strike(vid)
}

interface Lock {
  /** `host:port` of the sheep through which it is held. */
  readonly owner: string | undefined
  readonly isShared: boolean
}

async function readLock(cluster: Requests, vid: number): Promise<Lock> {
  for (let room = FIRST_STATES; room <= MAX_STATES; room *= 2) {
    const { result, payload } = await cluster.read(getVdiCopies(cluster.protoVer, room))
    if (result === Result.BUFFER_SMALL) continue
    expectSuccess({ result }, 'lock state')
    return findLock(payload, vid)
  }
  throw new SheepfsError('io', `the cluster has more than ${MAX_STATES} VDIs`)
}

function findLock(states: Uint8Array, vid: number): Lock {
  const view = viewOf(states)
  for (let at = 0; at + VDI_STATE_SIZE <= states.length; at += VDI_STATE_SIZE) {
    if (VdiState.vid.get(view, at) !== vid) continue
    const state = VdiState.lockState.get(view, at)
    const host = addrText(VdiState.lockOwnerAddr.get(view, at))
    const owner = addressText({ host, port: VdiState.lockOwnerPort.get(view, at) })
    return { owner: state === LockState.LOCKED ? owner : undefined, isShared: state === LockState.SHARED }
  }
  return { owner: undefined, isShared: false }
}

function lockedError(spec: VdiSpec, lock: Lock): SheepfsError {
  const holder = lock.isShared
    ? 'shared by clients of iSCSI multipath'
    : `locked by a client of sheep ${lock.owner ?? '(unknown)'}`
  return new SheepfsError(
    'locked',
    `${vdiText(spec)} is ${holder}; when that client is gone for good, attach it with --break-lock`,
  )
}
