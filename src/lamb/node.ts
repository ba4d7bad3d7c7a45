import { SheepfsError, errorText } from '../errors.ts'
import { type Logger } from '../log.ts'
import { erasureStrips } from '../wire/inode.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import { FIRST_INTERNAL_OPCODE, Req, Result } from '../wire/sd-proto.ts'
import { Cluster, type ClusterSettings } from './cluster.ts'
import { Faults } from './faults.ts'
import { Locks } from './locks.ts'
import { ObjectStore } from './object-store.ts'
import { operations, type Operation } from './operations.ts'
import { References } from './references.ts'
import { type Release } from './release.ts'
import { type Reply, type Request } from './request.ts'
import { Slabs } from './slabs.ts'
import { Statistics } from './statistics.ts'
import { VdiTable } from './vdi-table.ts'

/** The highest version of client operations that a sheep accepts. */
const MAX_PROTO_VER = 2

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
  readonly directory: string
  readonly release: Release
  /** Zones that the cluster pretends to have: limits replicas and erasure-coded strips. */
  readonly zones: number
  readonly hasObjectCache: boolean
  readonly seed: number
  readonly logger: Logger
}

/** One node and its whole cluster: objects, VDIs, locks, and how requests are answered. Knows no sockets. */
export class LambNode {
  readonly options: NodeOptions
  readonly store: ObjectStore
  readonly table = new VdiTable()
  readonly locks = new Locks()
  readonly cluster: Cluster
  readonly faults: Faults
  readonly references: References
  readonly slabs = new Slabs()
  readonly statistics = new Statistics()
  address: NodeAddress = { addr: new Uint8Array(16), ports: [], space: 0, zone: 0 }
  #clusterQueue: Promise<unknown> = Promise.resolve()
  #isClosed = false

  constructor(options: NodeOptions) {
    this.options = options
    this.store = new ObjectStore(options.directory)
    this.cluster = new Cluster(options.directory)
    this.faults = new Faults(options.seed)
    this.references = new References(this.store, () => this.faults.removalDelayMs)
  }

  /** How the cluster was formatted. Throws when it was not. */
  get settings(): ClusterSettings {
    const { settings } = this.cluster
    if (!settings) throw new SheepfsError('not-formatted', `the cluster in ${this.options.directory} is not formatted`)
    return settings
  }

  /** True when LOCK_VDI locks. */
  get hasLocking(): boolean {
    return (this.settings.flags & ClusterFlag.LOCKING) !== 0
  }

  /** True when a strict cluster has fewer zones than copies: nothing can be written. */
  get isHalted(): boolean {
    const { flags, copies } = this.settings
    return (flags & ClusterFlag.STRICT) !== 0 && this.options.zones < copies
  }

  open(): void {
    this.store.open()
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
    this.store.close()
  }

  /** Formats the cluster: all objects are gone. */
  format(settings: ClusterSettings): void {
    this.references.drain()
    this.store.clear()
    this.table.clear()
    this.locks.clear()
    this.cluster.format(settings)
  }

  /** The strips that erasure coding needs but the cluster has no zones for. */
  lacksZones(copyPolicy: number): boolean {
    const strips = erasureStrips(copyPolicy)
    return strips !== undefined && strips.data > this.options.zones
  }

  /** Answers a request. Never throws; a failure of the machine below becomes a result. */
  dispatch(request: Request): Reply | Promise<Reply> {
    const refusal = this.#refusal(request)
    if (refusal !== Result.SUCCESS) return { result: refusal }
    const operation = operations.get(request.opcode)
    if (!operation) return { result: Result.INVALID_PARMS }
    if (operation.isClusterWide === true) return this.#inTurn(operation, request)
    try {
      return operation.run(this, request)
    } catch (error) {
      return this.#failure(operation, error)
    }
  }

  /** Cluster operations follow one another. */
  async inClusterQueue<T>(run: () => T | Promise<T>): Promise<T> {
    const turn = this.#clusterQueue.then(run)
    this.#clusterQueue = turn.catch(() => undefined)
    return turn
  }

  /** The check of the version comes first, then that of the operation, then that of the cluster's state. */
  #refusal(request: Request): number {
    const version = Req.protoVer.get(request.header)
    const { release } = this.options
    const isInternal = request.opcode >= FIRST_INTERNAL_OPCODE
    if (isInternal ? version !== release.internalVersion : version > MAX_PROTO_VER) return Result.VER_MISMATCH
    const operation = operations.get(request.opcode)
    if (!operation || release.unknownOpcodes.has(request.opcode)) return Result.INVALID_PARMS
    if (this.#isClosed) return Result.SHUTDOWN
    return operation.isForced === true ? Result.SUCCESS : this.stateResult
  }

  /** SUCCESS when the cluster is running. */
  get stateResult(): number {
    if (!this.cluster.settings) return Result.WAIT_FOR_FORMAT
    return this.faults.isWaitingForJoin ? Result.WAIT_FOR_JOIN : Result.SUCCESS
  }

  async #inTurn(operation: Operation, request: Request): Promise<Reply> {
    try {
      return await this.inClusterQueue(() => operation.run(this, request))
    } catch (error) {
      return this.#failure(operation, error)
    }
  }

  #failure(operation: Operation, error: unknown): Reply {
    this.options.logger.error({ operation: operation.name, err: error }, errorText(error))
    const { code } = error as NodeJS.ErrnoException
    return { result: code === 'ENOSPC' ? Result.NO_SPACE : Result.EIO }
  }
}
