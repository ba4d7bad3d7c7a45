import { sleep, type Clock } from '../clock.ts'
import { isNoAnswer, isSheepfsError, SheepfsError } from '../errors.ts'
import type { Message, ObjectMessage, Response } from '../wire/message.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { isSameAddress, type Address } from './address.ts'
import { readAbsent } from './cluster-info.ts'
import type { ClusterOptions } from './cluster-options.ts'
import { clusterParts, type ClusterParts } from './cluster-parts.ts'
import { Errand } from './errand.ts'
import type { IdleWatch } from './idle-watch.ts'
import type { KnownCluster } from './known-cluster.ts'
import type { LockBook } from './lock-book.ts'
import type { LockStates } from './lock-table.ts'
import type { LockWatch } from './lock-watch.ts'
import type { OutageState, Patience } from './outage.ts'
import type { Replicas } from './patient-requests.ts'
import type { Caller, MeantOptions, RequestOptions, Requests } from './requests.ts'
import { settled } from './settle.ts'
import type { Timing } from './timing.ts'
import { patientWaiter, type Waiter } from './waiter.ts'

/**
 * A client of one cluster: sends requests to the sheep that suits, again after a loss or a transient result, for as long
 * as `ioTimeoutMs` allows. Knows nothing of volumes.
 */
export class Cluster implements Requests {
  readonly #options: ClusterOptions
  readonly #parts: ClusterParts
  readonly #generation: number | undefined
  #isClosed = false

  /** `generation`: what is asked for is meant for the cluster of that one; else for whatever cluster it is by then. */
  constructor(options: ClusterOptions, parts = clusterParts(options), generation?: number) {
    this.#options = options
    this.#parts = parts
    this.#generation = generation
  }

  /** The same client, which asks nothing of another cluster than the present one. */
  get present(): Cluster {
    return new Cluster(this.#options, this.#parts, this.#generation ?? this.#known.generation)
  }

  /** Why nothing can be asked any more of the cluster that it is meant for. */
  get failure(): SheepfsError | undefined {
    return this.#generation === undefined ? undefined : this.#known.failureOf(this.#generation)
  }

  get locks(): LockBook {
    return this.#parts.locks
  }

  get lockWatch(): LockWatch {
    return this.#parts.lockWatch
  }

  get idleWatch(): IdleWatch {
    return this.#parts.idleWatch
  }

  get #known(): KnownCluster {
    return this.#parts.context.known
  }

  /**
   * Connects and learns the cluster's version, flags and nodes. Does not wait for a cluster that is not there. Errors:
   * unreachable, timeout, not-formatted, not-supported.
   */
  open(): Promise<void> {
    return this.#parts.watch.open()
  }

  /** As `open`, and waits for a cluster that can be opened, for ever. Errors: closed. */
  async untilOpen(): Promise<void> {
    const waiter = patientWaiter(this.clock)
    await this.#parts.context.outage.patiently({ waiter }, async (patience) => {
      try {
        await this.open()
        return true
      } catch (error) {
        if (!isSheepfsError(error) || error.code === 'closed') throw error
        await patience.wait(error)
        return undefined
      }
    })
  }

  get timing(): Timing {
    return this.#parts.context.timing
  }

  get clock(): Clock {
    return this.#parts.context.world.clock
  }

  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  get protoVer(): number {
    return this.#known.protoVer
  }

  /** See `ClusterFormat`. */
  get hasOldInodes(): boolean {
    return this.#known.hasOldInodes
  }

  /** When it was formatted; see `ClusterFormat`. */
  get ctime(): string | undefined {
    return this.#known.ctime
  }

  /** Whether the cluster keeps VDI locks. */
  get hasLocking(): boolean {
    return this.#known.hasLocking
  }

  /** As home knows them. */
  lockStates(): Promise<LockStates> {
    return this.#parts.lockTable.read()
  }

  async lockGrace(): Promise<boolean> {
    const { outage, timing } = this.#parts.context
    const leftMs = outage.lastWaitAt + timing.lockGraceMs - this.clock.now()
    if (leftMs > 0) await sleep(this.clock, leftMs)
    return leftMs > 0
  }

  /** Whether a lock that home does not know of is forgotten by the whole cluster. */
  isLockForgotten(vid: number): Promise<boolean> {
    const { homePeer } = this
    const nodes = this.#known.topology?.addresses ?? []
    const others = nodes.filter((address) => !homePeer || !isSameAddress(address, homePeer))
    return this.#parts.lockTable.isForgotten(vid, others)
  }

  /** Whether object requests go through the gateway's cache. A cluster without one ignores it. */
  get objectCache(): boolean {
    return this.#parts.cache.isOn
  }

  /**
   * Switches the object cache when all requests have been answered: what a gateway has in its cache is written, and the cache
   * is empty, before anything goes past it. Errors: unreachable, timeout, io; nothing has changed then.
   */
  async setObjectCache(isOn: boolean): Promise<void> {
    if (isOn === this.objectCache) return
    await this.#parts.cache.turn(isOn, this)
    this.#options.onSettings?.()
  }

  /** The cluster has said that it has no object cache. */
  giveUpObjectCache(): void {
    this.#parts.cache.giveUp()
    this.#options.onSettings?.()
  }

  /** Empties the object caches of a VDI that only this client uses now. Errors: unreachable, timeout, io. */
  emptyObjectCaches(vid: number): Promise<void> {
    return this.#parts.cache.emptyOf(vid, this)
  }

  get addresses(): readonly Address[] {
    return this.#parts.gateways.configured
  }

  /** The gateway in use. */
  get homeAddress(): Address | undefined {
    return this.#parts.gateways.homeAddress
  }

  /** Numeric, where the address of the gateway in use may be a name. */
  get homePeer(): Address | undefined {
    return this.#parts.gateways.homePeer
  }

  get state(): OutageState {
    return this.#parts.context.outage.state
  }

  /** Does something with the patience of the request that it is done for, or, where that is undefined, with one of its own. */
  withPatience<T>(patience: Patience | undefined, work: (patience: Patience) => Promise<T>): Promise<T> {
    return this.#parts.context.outage.withPatience({ patience }, work)
  }

  /** Nodes that may hold what the others do not have, `host:port`. */
  async absentMembers(): Promise<string[]> {
    const { absent } = this.#parts.context.known
    return absent.length > 0 ? absent : readAbsent(this, this.clock.date())
  }

  get inFlight(): number {
    return this.#parts.gateways.inFlight
  }

  /** Connections made again after a loss. */
  get reconnects(): number {
    return this.#parts.gateways.reconnects
  }

  /** Requests sent again after a loss or a transient result. */
  get retries(): number {
    return this.#parts.context.outage.waits
  }

  /** Longest wait of a request through an outage, ms; Infinity: for ever. A change holds for those that wait already. */
  get ioTimeoutMs(): number {
    return this.#parts.context.outage.timeoutMs
  }

  set ioTimeoutMs(value: number) {
    this.#parts.context.outage.timeoutMs = value
    this.#options.onSettings?.()
  }

  /**
   * Uses other sheep from now on; a patient waiter waits for one of them. Errors: unreachable and timeout when none of them
   * answers; the old ones stay then.
   */
  async setAddresses(addresses: readonly Address[], waiter?: Waiter): Promise<void> {
    await this.#parts.context.outage.untilReached(waiter, async () => {
      await this.#parts.gateways.reconfigure(addresses, waiter)
      return true
    })
    this.#options.onSettings?.()
  }

  /**
   * Holds back everything that changes the cluster until these gateways are done with what a dead predecessor of this
   * process has sent them. Reads, which would make them look busy, wait with them for a moment.
   */
  fence(gateways: readonly Address[]): void {
    if (gateways.length > 0)
      this.#parts.requests.fence(Promise.all(gateways.map((one) => settled(one, this.#parts.context))))
  }

  /** Changes are held back, as `fence` does. */
  get isFenced(): boolean {
    return this.#parts.requests.isFenced
  }

  /** As `PatientRequests` has it. */
  read(message: Message, options: RequestOptions = {}): Promise<Response> {
    return this.#parts.requests.read(message, this.#meant(options))
  }

  /** As `PatientRequests` has it. */
  change(message: Message, options: RequestOptions = {}): Promise<Response> {
    return this.#parts.requests.change(message, this.#meant(options))
  }

  /** As `PatientRequests` has it. */
  changeOnce(message: Message, options: RequestOptions = {}): Promise<Response | undefined> {
    return this.#parts.requests.changeOnce(message, this.#meant(options))
  }

  /** As `PatientRequests` has it; none while the object cache is in use, of which home alone knows what is in it. */
  async readReplicas(message: ObjectMessage, copies: number, options: RequestOptions = {}): Promise<Replicas> {
    if (this.objectCache) return { answers: [], isComplete: false }
    return this.#parts.requests.readReplicas(message, copies, this.#meant(options))
  }

  /** As `PatientRequests` has it. */
  query(message: Message, caller?: Caller): Promise<Response> {
    return this.#parts.requests.query(message, this.#meant({ caller }))
  }

  /** What a waiter asks for; to be ended. */
  errand(waiter: Waiter): Errand {
    return new Errand(this.present, waiter, () => this.#parts.gateways.line())
  }

  /** For what has to be done whoever waits. */
  get lasting(): Requests {
    return this
  }

  /** Looks whether it still is the same cluster, which nobody may have noticed. Errors: unreachable, timeout. */
  async verify(waiter?: Waiter): Promise<void> {
    const verified = this.#parts.requests.verify(waiter)
    await (waiter ? waiter.until(verified) : verified)
  }

  /** As `verify`, once; when home does not answer, nothing is known. */
  async look(): Promise<void> {
    await this.#parts.watch.verify().catch((error: unknown) => {
      if (!isNoAnswer(error)) throw error
    })
  }

  /** Where else to look for a cluster whose nodes are not known yet. */
  remember(addresses: readonly Address[]): void {
    this.#parts.gateways.remember(addresses)
  }

  /** Asks one node, once. Errors: unreachable, timeout, protocol. */
  async ask(address: Address, message: Message): Promise<Response> {
    const connection = await this.#parts.gateways.to(address)
    return connection.exchange(message)
  }

  /** As `PatientRequests` has it. */
  isHeld(oid: ObjectId, copies: number): Promise<boolean> {
    return this.#parts.requests.isHeld(oid, copies, this.#meant({}).generation)
  }

  #meant(options: RequestOptions): MeantOptions {
    return { ...options, generation: this.#generation ?? this.#known.generation }
  }

  /** Ends all connections; what is in flight rejects with closed. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.diskWatch.close()
    this.idleWatch.close()
    this.#parts.watch.close()
    this.lockWatch.close()
    this.#parts.delivery.close()
    this.#parts.context.outage.timeoutMs = 0
    this.#parts.gateways.destroy(new SheepfsError('closed', 'the cluster client was closed'))
  }
}
