import { SheepfsError } from '../errors.ts'
import type { Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import { erasureStrips } from '../wire/inode.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import type { ClusterRecord, ClusterSettings } from './cluster-file.ts'
import { Faults } from './faults.ts'
import { Locks } from './locks.ts'
import { ObjectCache } from './object-cache.ts'
import type { ObjectStore } from './object-store.ts'
import { References } from './references.ts'
import type { Release } from './release.ts'
import { Slabs } from './slabs.ts'
import { Statistics } from './statistics.ts'
import { VdiTable } from './vdi-table.ts'

/** How the node is known to others. */
export interface NodeAddress {
  /** 16 bytes. */
  readonly addr: Uint8Array
  /** One port for each gateway. */
  readonly ports: readonly number[]
  /** Bytes for objects, as they were at the start. */
  readonly space: number
  readonly zone: number
}

/** How a node is set up. */
export interface NodeOptions {
  /** For messages. */
  readonly directory: string
  readonly store: ObjectStore
  readonly cluster: ClusterRecord
  readonly clock: Clock
  readonly release: Release
  /** Zones that the cluster pretends to have: limits replicas and erasure-coded strips. */
  readonly zones: () => number
  /** Each gateway has an object cache. */
  readonly hasObjectCache: boolean
  readonly seed: number
  readonly logger: Logger
}

/** One node and its whole cluster: objects, VDIs, locks. Knows no sockets; operations.ts works on it. */
export class LambNode {
  readonly options: NodeOptions
  readonly store: ObjectStore
  readonly table = new VdiTable()
  readonly locks = new Locks()
  readonly cluster: ClusterRecord
  readonly faults: Faults
  readonly references: References
  readonly slabs = new Slabs()
  readonly statistics = new Statistics()
  /** By number of the gateway, those in use. */
  readonly objectCaches = new Map<number, ObjectCache>()
  address: NodeAddress = { addr: new Uint8Array(16), ports: [], space: 0, zone: 0 }
  #clusterQueue: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: NodeOptions) {
    this.options = options
    this.store = options.store
    this.cluster = options.cluster
    this.faults = new Faults(options.clock, options.seed)
    this.references = new References(this.store, options.clock, () => this.faults.removalDelayMs)
  }

  /** How the cluster was formatted. Throws when it was not. */
  get settings(): ClusterSettings {
    const { settings } = this.cluster
    if (!settings) throw new SheepfsError('not-formatted', `the cluster in ${this.options.directory} is not formatted`)
    return settings
  }

  /** Of a gateway; undefined where sheep have none. */
  objectCache(gateway: number): ObjectCache | undefined {
    if (!this.options.hasObjectCache) return undefined
    const cache = this.objectCaches.get(gateway) ?? new ObjectCache()
    this.objectCaches.set(gateway, cache)
    return cache
  }

  /** True when LOCK_VDI locks. */
  get hasLocking(): boolean {
    return (this.settings.flags & ClusterFlag.LOCKING) !== 0
  }

  /** True when a strict cluster has fewer zones than copies: nothing can be written. */
  get isHalted(): boolean {
    const { flags, copies } = this.settings
    return (flags & ClusterFlag.STRICT) !== 0 && this.options.zones() < copies
  }

  open(): void {
    this.cluster.open()
    if (!this.cluster.settings && this.store.list().length > 0) {
      throw new SheepfsError(
        'invalid',
        `${this.options.directory} has objects but no cluster.json: not a store of lamb`,
      )
    }
    this.table.load(this.store)
  }

  /** Waits for what is being executed; afterwards every request is answered SHUTDOWN. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#clusterQueue
    this.references.drain()
  }

  /** Formats the cluster: all objects are gone. */
  format(settings: ClusterSettings): void {
    this.references.drain()
    this.store.clear()
    this.table.clear()
    this.locks.clear()
    this.objectCaches.clear()
    this.cluster.format(settings)
  }

  /** The strips that erasure coding needs but the cluster has no zones for. */
  lacksZones(copyPolicy: number): boolean {
    const strips = erasureStrips(copyPolicy)
    return strips !== undefined && strips.data > this.options.zones()
  }

  /** Cluster operations follow one another. */
  async inClusterQueue<T>(run: () => T | Promise<T>): Promise<T> {
    const turn = this.#clusterQueue.then(run)
    this.#clusterQueue = turn.catch(() => undefined)
    return turn
  }

  /** True once it was closed: nothing is executed any more. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** SUCCESS when the cluster is running. */
  get stateResult(): number {
    if (!this.cluster.settings) return Result.WAIT_FOR_FORMAT
    return this.faults.isWaitingForJoin ? Result.WAIT_FOR_JOIN : Result.SUCCESS
  }
}
