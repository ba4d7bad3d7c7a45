import type { Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { ClusterOptions } from './cluster-options.ts'
import { ClusterWatch } from './cluster-watch.ts'
import { Delivery } from './delivery.ts'
import { DiskWatch } from './disk-watch.ts'
import { giveBackLocks } from './former-locks.ts'
import { Gateways } from './gateways.ts'
import { HolderTurns } from './holder-turns.ts'
import { IdleWatch } from './idle-watch.ts'
import { KnownCluster } from './known-cluster.ts'
import { LockBook } from './lock-book.ts'
import { LockTable } from './lock-table.ts'
import { LockWatch } from './lock-watch.ts'
import { ObjectCache } from './object-cache.ts'
import { Outage } from './outage.ts'
import { PatientRequests } from './patient-requests.ts'
import { RecoveryGuard } from './recovery-guard.ts'
import { DEFAULT_TIMING } from './timing.ts'

/** What the client of a cluster consists of. */
export interface ClusterParts {
  readonly context: ClientContext
  readonly gateways: Gateways
  readonly watch: ClusterWatch
  readonly cache: ObjectCache
  readonly delivery: Delivery
  readonly requests: PatientRequests
  readonly locks: LockBook
  readonly lockTable: LockTable
  readonly lockWatch: LockWatch
  readonly diskWatch: DiskWatch
  readonly idleWatch: IdleWatch
}

export function clusterParts(options: ClusterOptions): ClusterParts {
  const { world, log, timing = DEFAULT_TIMING, ioTimeoutMs: timeoutMs = Infinity } = options
  const { onState: onChange = () => undefined, onGateway: onHome = () => undefined } = options
  const { clock } = world
  const outage = new Outage({ timeoutMs, timing, clock, log, onChange })
  const known = new KnownCluster(clock)
  const context = { world, timing, known, outage, log }
  const locks = new LockBook(options.onLocks ?? (() => undefined))
  const lockTable: LockTable = new LockTable({
    protoVer: () => known.protoVer,
    home: () => gateways.homePeer,
    read: (message, into) => requests.read(message, { into, generation: undefined }),
    ask: async (address, message) => (await gateways.to(address)).exchange(message),
  })
  const lockWatch = new LockWatch({ clock, timing, log, read: () => lockTable.read() })
  const onHomeLost = lockWatch.doubt.bind(lockWatch)
  const onLeave = (home: Address | undefined): void => {
    const { protoVer, ctime } = known
    if (home && locks.all.length > 0) void giveBackLocks({ home, protoVer, ctime, locks: locks.all }, context)
    lockWatch.clear()
    locks.clear()
  }
  const gateways: Gateways = new Gateways(options.addresses, { ...context, onHome, onLeave, onHomeLost })
  const watch = new ClusterWatch({ ...context, gateways })
  const cache = new ObjectCache({ isOn: options.objectCache ?? false, clock, timing })
  const delivery = new Delivery({ known, gateways, watch, cache })
  const turns = new HolderTurns({ known, home: () => gateways.homePeer })
  const guard = new RecoveryGuard({ ...context, delivery, turns })
  const diskWatch = new DiskWatch({ ...context, gateways, watch })
  const idleWatch = new IdleWatch({ ...context, gateways })
  const requests: PatientRequests = new PatientRequests({
    ...context,
    guard,
    gateways,
    turns,
    delivery,
    lockWatch,
    diskWatch,
    watch,
  })
  return { context, gateways, watch, cache, delivery, requests, locks, lockTable, lockWatch, diskWatch, idleWatch }
}
