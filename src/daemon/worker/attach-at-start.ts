import { isDeepStrictEqual } from 'node:util'
import { sleep } from '../../clock.ts'
import { isNoAnswer, isSheepfsError, SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Cluster } from '../../sheep/cluster.ts'
import { WAIT_LIMIT_MS, Waiter } from '../../sheep/waiter.ts'
import type { Attachments } from '../../tree/attachments.ts'
import { parseVolumeName } from '../../tree/volume-name.ts'
import { releaseVdiLock } from '../../volume/vdi-lock.ts'
import type { AttachedVolume, MountState } from '../worker-protocol.ts'

const RETRY_PAUSE_MS = 1000
/** What a killed predecessor holds it gives back within this. */
const LOCK_PATIENCE_MS = 6000

interface Start {
  readonly generation: number
  readonly state: Pick<MountState, 'gateways' | 'volumes' | 'locks' | 'clusterCtime'>
}

type LocksOf = Pick<MountState, 'locks' | 'clusterCtime'>

interface Context {
  readonly cluster: Cluster
  readonly attachments: Attachments
  readonly log: Logger
}

/**
 * Connects to the cluster and attaches the volumes that a worker starts with. A first worker fails when the cluster or a
 * volume is not there, or does not answer; a successor has files open: it waits for the cluster, and goes on without what is lost.
 */
export async function attachAtStart(start: Start, context: Context): Promise<void> {
  await openCluster(start, context)
  await attachAll(start, context)
}

/** Attaches, as a successor, only what a dead worker may have locked: whoever closes that gives the locks back. */
export async function attachLocked(start: Start, context: Context): Promise<void> {
  await openCluster(start, context)
  if (context.cluster.hasLocking) await attachAll(start, context)
}

async function openCluster({ generation, state }: Start, context: Context): Promise<void> {
  if (generation === 1) return context.cluster.open()
  context.cluster.remember(state.gateways)
  await context.cluster.untilOpen()
  context.cluster.fence(state.gateways)
}

async function attachAll({ generation, state }: Start, context: Context): Promise<void> {
  const isSuccessor = generation > 1
  await Promise.all(
    state.volumes.map(async (volume) => {
      try {
        if (volume.inode && isOfOther(state, context.cluster)) throw ofOther()
        await attach(volume, context, { isSuccessor })
      } catch (error) {
        const isNeeded = volume.isOptional !== true || !isSheepfsError(error) || isNoAnswer(error)
        if (!isSuccessor && isNeeded) throw error
        const loss = isSuccessor ? 'its open files fail' : 'it is left out'
        context.log.error({ volume: volume.name, err: error }, `a volume cannot be attached again: ${loss}`)
      }
    }),
  )
  if (isSuccessor) await giveBackLocks(state, context)
}

/** Whether the predecessor was connected to another cluster: to this one before it was formatted, or elsewhere. */
function isOfOther({ clusterCtime }: Pick<LocksOf, 'clusterCtime'>, { ctime }: Pick<Cluster, 'ctime'>): boolean {
  return ctime !== undefined && clusterCtime !== undefined && ctime !== clusterCtime
}

/** What the predecessor had of it will not come back: nobody waits for nodes that may have it. */
function ofOther(): SheepfsError {
  return new SheepfsError('stale', 'the sheep belong to another cluster now, or it was formatted')
}

/** While a worker starts, it may hold what its predecessor did and what it is locking itself. */
export function locksAtStart(
  { locks, clusterCtime }: LocksOf,
  { locks: book, ctime }: Pick<Cluster, 'locks' | 'ctime'>,
): LocksOf {
  const before = isOfOther({ clusterCtime }, { ctime })
    ? []
    : locks.filter((lock) => !book.all.some((own) => isDeepStrictEqual(own, lock)))
  return { locks: [...before, ...book.all], clusterCtime: ctime ?? clusterCtime }
}

/** What the predecessor was locking or unlocking when it died. */
async function giveBackLocks(state: Start['state'], { cluster, log }: Context): Promise<void> {
  if (isOfOther(state, cluster)) return
  const left = state.locks.filter(({ vid }) => !cluster.locks.has(vid))
  const releases = left.map(async (lock) => {
    try {
      await releaseVdiLock(cluster, lock)
    } catch (error) {
      log.error({ ...lock, err: error }, 'a lock of the worker before could not be given back')
    }
  })
  await Promise.all(releases)
}

/** The worker of a daemon that was killed may still hold the lock, and is about to give it back. */
async function attach(
  { name, nodeId, readOnly, times, inode, isTemporary = false }: AttachedVolume,
  { cluster: { clock }, attachments }: Context,
  { isSuccessor }: { isSuccessor: boolean },
): Promise<void> {
  for (const until = clock.now() + LOCK_PATIENCE_MS; ;) {
    const waiter = new Waiter({ clock, limitMs: isSuccessor ? Infinity : WAIT_LIMIT_MS })
    try {
      const how = { readOnly, nodeId, times, former: inode, isTemporary }
      await attachments.attach(parseVolumeName(name), how, waiter)
      return
    } catch (error) {
      const isWaitedFor = isSuccessor && isNoAnswer(error)
      const isGivenBack = isSheepfsError(error, 'locked') && clock.now() < until
      if (!isWaitedFor && !isGivenBack) throw error
      await sleep(clock, RETRY_PAUSE_MS)
    } finally {
      waiter.end()
    }
  }
}
