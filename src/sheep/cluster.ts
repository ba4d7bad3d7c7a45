import { sleep, type Clock } from '../clock.ts'
import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Message, ObjectMessage, Response } from '../wire/message.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { isSameAddress, type Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { ClusterOptions } from './cluster-options.ts'
import { ClusterWatch } from './cluster-watch.ts'
import { readAbsent } from './cluster-info.ts'
import { Delivery } from './delivery.ts'
import { DiskWatch } from './disk-watch.ts'
import type { Connection } from './connection.ts'
import { Errand } from './errand.ts'
import { Gateways } from './gateways.ts'
import { KnownCluster } from './known-cluster.ts'
import { askAll } from './map-in-order.ts'
import { ObjectCache } from './object-cache.ts'
import { LockBook } from './lock-book.ts'
import { LockTable, type LockStates } from './lock-table.ts'
import { LockWatch } from './lock-watch.ts'
import { Outage, type OutageState, type Patience } from './outage.ts'
import { PatientRequests, type Replicas } from './patient-requests.ts'
import { RecoveryGuard } from './recovery-guard.ts'
import type { Caller, RequestOptions, Requests } from './requests.ts'
import { isIdle, settled } from './settle.ts'
import { DEFAULT_TIMING, type Timing } from './timing.ts'
import type { Waiter } from './waiter.ts'

/**
 * A client of one cluster: sends requests to the sheep that suits, again after a loss or a transient result, for as long
 * as `ioTimeoutMs` allows. Knows nothing of volumes.
 */
export class Cluster implements Requests {
  readonly locks: LockBook
  readonly #context: ClientContext
  readonly #gateways: Gateways
  readonly #watch: ClusterWatch
  readonly #cache: ObjectCache
  readonly #delivery: Delivery
  readonly #requests: PatientRequests
  readonly #onSettings: () => void
  readonly lockWatch: LockWatch
  readonly #lockTable: LockTable
  readonly #diskWatch: DiskWatch

  constructor(options: ClusterOptions) {
    const { world, log, timing = DEFAULT_TIMING, ioTimeoutMs: timeoutMs = Infinity } = options
    const { onState: onChange = () => undefined, onGateway: onHome = () => undefined } = options
    const { clock } = world
    const outage = new Outage({ timeoutMs, timing, clock, log, onChange })
    const known = new KnownCluster(clock)
    const context = { world, timing, known, outage, log }
    this.#lockTable = new LockTable({
      home: () => this.homePeer,
      protoVer: () => known.protoVer,
      read: (message, into) => this.read(message, { into }),
      ask: (address, message) => this.ask(address, message),
    })
    const lockWatch = new LockWatch({ clock, timing, log, read: () => this.lockStates() })
    const onHomeLost = lockWatch.doubt.bind(lockWatch)
    const gateways = new Gateways(options.addresses, { ...context, onHome, onHomeLost })
    const watch = new ClusterWatch({ ...context, gateways })
    const cache = new ObjectCache({ isOn: options.objectCache ?? false, clock, timing })
    const delivery = new Delivery({ gateways, watch, cache })
    const guard = new RecoveryGuard({ ...context, delivery })
    const diskWatch = new DiskWatch({ ...context, gateways, watch })
    this.#requests = new PatientRequests({ ...context, guard, gateways, delivery, lockWatch, diskWatch, watch })
    this.locks = new LockBook(options.onLocks ?? (() => undefined))
    this.lockWatch = lockWatch
    this.#diskWatch = diskWatch
    this.#context = context
    this.#gateways = gateways
    this.#watch = watch
    this.#cache = cache
    this.#delivery = delivery
    this.#onSettings = options.onSettings ?? (() => undefined)
  }

  /**
   * Connects and learns the cluster's version, flags and nodes. Does not wait for a cluster that is not there. Errors:
   * unreachable, timeout, not-formatted, not-supported.
   */
  open(): Promise<void> {
    return this.#watch.open()
  }

  get timing(): Timing {
    return this.#context.timing
  }

  get clock(): Clock {
    return this.#context.world.clock
  }

  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  get protoVer(): number {
    return this.#context.known.protoVer
  }

  /** Whether the cluster keeps VDI locks. */
  get hasLocking(): boolean {
    return this.#context.known.hasLocking
  }

  /** As home knows them. */
  lockStates(): Promise<LockStates> {
    return this.#lockTable.read()
  }

  async lockGrace(): Promise<boolean> {
    const { outage, timing } = this.#context
    const leftMs = outage.lastWaitAt + timing.lockGraceMs - this.clock.now()
    if (leftMs > 0) await sleep(this.clock, leftMs)
    return leftMs > 0
  }

  /** Whether a lock that home does not know of is forgotten by the whole cluster. */
  isLockForgotten(vid: number): Promise<boolean> {
    const { homePeer } = this
    const nodes = this.#context.known.topology?.addresses ?? []
    const others = nodes.filter((address) => !homePeer || !isSameAddress(address, homePeer))
    return this.#lockTable.isForgotten(vid, others)
  }

  /** Whether object requests go through the gateway's cache. A cluster without one ignores it. */
  get objectCache(): boolean {
    return this.#cache.isOn
  }

  /**
   * Switches the object cache when all requests have been answered: what a gateway has in its cache is written, and the cache
   * is empty, before anything goes past it. Errors: unreachable, timeout, io; nothing has changed then.
   */
  async setObjectCache(isOn: boolean): Promise<void> {
    if (isOn === this.objectCache) return
    await this.#cache.turn(isOn, this)
    this.#onSettings()
  }

  /** The cluster has said that it has no object cache. */
  giveUpObjectCache(): void {
    this.#cache.giveUp()
    this.#onSettings()
  }

  /** Empties the object caches of a VDI that only this client uses now. Errors: unreachable, timeout, io. */
  emptyObjectCaches(vid: number): Promise<void> {
    return this.#cache.emptyOf(vid, this)
  }

  get addresses(): readonly Address[] {
    return this.#gateways.configured
  }

  /** The gateway in use. */
  get homeAddress(): Address | undefined {
    return this.#gateways.homeAddress
  }

  /** Numeric, where the address of the gateway in use may be a name. */
  get homePeer(): Address | undefined {
    return this.#gateways.homePeer
  }

  get state(): OutageState {
    return this.#context.outage.state
  }

  /** For one request, to its end. */
  patience(): Patience {
    return this.#context.outage.patience()
  }

  /** Nodes that may hold what the others do not have, `host:port`. */
  async absentMembers(): Promise<string[]> {
    const { absent } = this.#context.known
    return absent.length > 0 ? absent : readAbsent(this, this.clock.date())
  }

  get inFlight(): number {
    return this.#gateways.inFlight
  }

  /** Connections made again after a loss. */
  get reconnects(): number {
    return this.#gateways.reconnects
  }

  /** Requests sent again after a loss or a transient result. */
  get retries(): number {
    return this.#context.outage.waits
  }

  /** Longest wait of a request through an outage, ms; Infinity: for ever. A change holds for those that wait already. */
  get ioTimeoutMs(): number {
    return this.#context.outage.timeoutMs
  }

  set ioTimeoutMs(value: number) {
    this.#context.outage.timeoutMs = value
    this.#onSettings()
  }

  /**
   * Uses other sheep from now on; a patient waiter waits for one of them. Errors: unreachable and timeout when none of them
   * answers; the old ones stay then.
   */
  async setAddresses(addresses: readonly Address[], waiter?: Waiter): Promise<void> {
    await this.#context.outage.untilReached(waiter, async () => {
      await this.#gateways.reconfigure(addresses, waiter)
      return true
    })
    this.#onSettings()
  }

  /**
   * Holds back everything that changes the cluster until these gateways are done with what a dead predecessor of this
   * process has sent them. Reads, which would make them look busy, wait with them for a moment.
   */
  fence(gateways: readonly Address[]): void {
    if (gateways.length > 0) this.#requests.fence(Promise.all(gateways.map((one) => settled(one, this.#context))))
  }

  /** As `PatientRequests` has it. */
  read(message: Message, options: RequestOptions = {}): Promise<Response> {
    return this.#requests.read(message, options)
  }

  /** As `PatientRequests` has it. */
  change(message: Message, options: RequestOptions = {}): Promise<Response> {
    return this.#requests.change(message, options)
  }

  /** As `PatientRequests` has it. */
  changeOnce(message: Message, options: RequestOptions = {}): Promise<Response | undefined> {
    return this.#requests.changeOnce(message, options)
  }

  /** As `PatientRequests` has it; none while the object cache is in use, of which home alone knows what is in it. */
  async readReplicas(message: ObjectMessage, copies: number): Promise<Replicas> {
    return this.objectCache ? { answers: [], isComplete: false } : this.#requests.readReplicas(message, copies)
  }

  /**
   * Sends a question about the cluster to the home gateway, over a new connection when the first is lost. Resolves with any
   * result, also transient ones: they tell the cluster's state. Does not wait through an outage, unless the caller does.
   * Errors: unreachable, timeout, protocol.
   */
  query(message: Message, caller?: Caller): Promise<Response> {
    const connect = (): Promise<Connection> => (caller ? caller.connect() : this.#gateways.home())
    let isFirst = true
    return this.#context.outage.untilReached(caller?.waiter, async () => {
      try {
        return await (await connect()).exchange(message)
      } catch (error) {
        const isOver = !isFirst || caller?.waiter.isPatient === true || !isSheepfsError(error, 'unreachable')
        if (isOver) throw error
        isFirst = false
        return undefined
      }
    })
  }

  /** What a waiter asks for; to be ended. */
  errand(waiter: Waiter): Errand {
    return new Errand(this, waiter, () => this.#gateways.line())
  }

  /** For what has to be done whoever waits. */
  get lasting(): Requests {
    return this
  }

  /** Asks one node, once. Errors: unreachable, timeout, protocol. */
  async ask(address: Address, message: Message): Promise<Response> {
    const connection = await this.#gateways.to(address)
    return connection.exchange(message)
  }

  /** As `PatientRequests` has it. */
  isHeld(oid: ObjectId, copies: number): Promise<boolean> {
    return this.#requests.isHeld(oid, copies)
  }

  /** Whether all nodes say that they do nothing as gateways now, for anybody. */
  async isIdle(): Promise<boolean> {
    const nodes = this.#context.known.topology?.addresses ?? []
    const answers = await askAll(nodes, (address) => isIdle(address, this.#context))
    return !answers.includes(false)
  }

  /** Ends all connections; what is in flight rejects with closed. Idempotent. */
  close(): void {
    this.#diskWatch.close()
    this.#watch.close()
    this.lockWatch.close()
    this.#delivery.close()
    this.#context.outage.timeoutMs = 0
    this.#gateways.destroy(new SheepfsError('closed', 'the cluster client was closed'))
  }
}
