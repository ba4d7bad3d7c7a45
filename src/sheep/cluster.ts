import { sleep, type Clock } from '../clock.ts'
import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import type { Message, Response } from '../wire/message.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { deleteCache, exist, flushVdi } from '../wire/object-ops.ts'
import { Result, SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import { Delivery } from './delivery.ts'
import { Errand, type Requests } from './errand.ts'
import { Gateways, type Nearness } from './gateways.ts'
import { ObjectCache } from './object-cache.ts'
import { Outage, type OutageState, type Patience } from './outage.ts'
import { RecoveryGuard, targetOf, type Probe } from './recovery-guard.ts'
import { surveyRecovery } from './recovery-survey.ts'
import { expectSuccess, resultError } from './result-error.ts'
import { isIdle, settled } from './settle.ts'
import { DEFAULT_TIMING, type Timing } from './timing.ts'
import type { Waiter } from './waiter.ts'
import type { World } from './world.ts'

export interface ClusterOptions {
  /** Tried in this order; at least one. */
  readonly addresses: readonly Address[]
  readonly log: Logger
  readonly world: World
  /** Longest wait of a request through an outage, ms. Default: for ever. */
  readonly ioTimeoutMs?: number
  /** How long to wait for what; shortened in tests. */
  readonly timing?: Timing
  /** Use the gateway's object cache, where it has one (clusters up to 0.9). */
  readonly objectCache?: boolean
  readonly onState?: (state: OutageState) => void
  /** Called with every gateway that is chosen, before anything is sent to it. */
  readonly onGateway?: (address: Address) => void
  /** Called when the addresses, the object cache or the io timeout have changed. */
  readonly onSettings?: () => void
}

/** How often a node is asked what it has of an object. */
const REPLICA_TRIES = 3

export interface ChangeOptions {
  /** Of the VDI that the object belongs to: where it is known, nodes that do not hold the object cost nothing. */
  readonly copies?: number
  /** The only gateway to try; without it, home. */
  readonly at?: Address
  /** The object to be created has been there before: a recovery under way could bring it back. */
  readonly wasRemoved?: boolean
  /** Whose request it is: it goes over his connection, and ends with his waiting. */
  readonly errand?: Errand
}

/** What one holder of an object has of it. */
export interface Replica {
  readonly address: Address
  readonly payload: Uint8Array
}

export interface RequestOptions {
  /** A read that any holder of the object may answer; without it the home gateway is asked. */
  readonly near?: Nearness
  /** Where the payload of a success is received; as long as what is wanted. */
  readonly into?: Uint8Array
  /** Whose request it is; `near` does not count then. */
  readonly errand?: Errand
}

/**
 * A client of one cluster: sends requests to the sheep that suits, again after a loss or a transient result, for as long
 * as `ioTimeoutMs` allows. Knows nothing of volumes.
 */
export class Cluster {
  readonly #gateways: Gateways
  readonly #outage: Outage
  readonly #guard: RecoveryGuard
  readonly #delivery: Delivery
  /** Nothing is changed before: what a predecessor had sent may still be under way. */
  #fence: Promise<unknown> | undefined
  #isClosed = false
  readonly timing: Timing
  readonly #world: World
  readonly #cache: ObjectCache
  readonly #onSettings: () => void

  constructor(options: ClusterOptions) {
    this.#onSettings = options.onSettings ?? (() => undefined)
    const timing = options.timing ?? DEFAULT_TIMING
    this.timing = timing
    const { world } = options
    const { clock } = world
    this.#world = world
    this.#outage = new Outage({
      timeoutMs: options.ioTimeoutMs ?? Infinity,
      timing,
      clock,
      log: options.log,
      onChange: options.onState ?? (() => undefined),
    })
    this.#guard = new RecoveryGuard({
      timing,
      clock,
      log: options.log,
      send: (message) => this.#sendUnguarded(message),
      survey: (topology, limitMs) => surveyRecovery(topology, { world, protoVer: this.protoVer, limitMs }),
    })
    this.#gateways = new Gateways(
      options.addresses,
      {
        world,
        timing,
        connectTimeoutMs: timing.connectTimeoutMs,
        deadlineMs: () => Math.min(timing.deadlineMs, Math.max(this.#outage.timeoutMs, timing.shortestDeadlineMs)),
        trimsZeros: () => this.protoVer <= SD_SHEEP_PROTO_VERS[2],
        protoVer: () => this.protoVer,
      },
      {
        log: options.log,
        onHome: options.onGateway ?? (() => undefined),
        onSilence: (address, isSilent) => {
          if (isSilent) this.#outage.noticeSilence(addressText(address), clock.date() - timing.silenceMs)
          else this.#outage.endSilence(addressText(address))
        },
      },
    )
    this.#cache = new ObjectCache({ isOn: options.objectCache ?? false, empty: (vids) => this.#emptyCaches(vids) })
    const { log } = options
    this.#delivery = new Delivery({ clock, gateways: this.#gateways, guard: this.#guard, cache: this.#cache, log })
  }

  /**
   * Connects and learns the cluster's version, flags and nodes. Does not wait for a cluster that is not there. Errors:
   * unreachable, timeout, not-formatted, not-supported.
   */
  open(): Promise<void> {
    return this.#delivery.open()
  }

  get clock(): Clock {
    return this.#world.clock
  }

  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  get protoVer(): number {
    return this.#delivery.protoVer
  }

  /** Whether the cluster keeps VDI locks. */
  get hasLocking(): boolean {
    return (this.#delivery.flags & ClusterFlag.LOCKING) !== 0
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
    await this.#cache.turn(isOn)
    this.#onSettings()
  }

  /** The cluster has said that it has no object cache. */
  giveUpObjectCache(): void {
    this.#cache.giveUp()
    this.#onSettings()
  }

  /** Empties the object caches of a VDI that only this client uses now. Errors: unreachable, timeout, io. */
  emptyObjectCaches(vid: number): Promise<void> {
    return this.#cache.emptyOf(vid)
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
    return this.#outage.state
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
    return this.#outage.waits
  }

  /** Longest wait of a request through an outage, ms; Infinity: for ever. A change holds for those that wait already. */
  get ioTimeoutMs(): number {
    return this.#outage.timeoutMs
  }

  set ioTimeoutMs(value: number) {
    this.#outage.timeoutMs = value
    this.#onSettings()
  }

  /**
   * Uses other sheep from now on; a patient waiter waits for one of them. Errors: unreachable and timeout when none of them
   * answers; the old ones stay then.
   */
  async setAddresses(addresses: readonly Address[], waiter?: Waiter): Promise<void> {
    const patience = this.#outage.patience(waiter)
    try {
      while (!(await this.#takeAddresses(addresses, { patience, waiter })));
    } finally {
      patience.end()
    }
    this.#onSettings()
  }

  async #takeAddresses(
    addresses: readonly Address[],
    { patience, waiter }: { readonly patience: Patience; readonly waiter: Waiter | undefined },
  ): Promise<boolean> {
    try {
      await this.#gateways.reconfigure(addresses, waiter)
      return true
    } catch (error) {
      const isAway = isSheepfsError(error, 'unreachable') || isSheepfsError(error, 'timeout')
      if (!isAway || waiter?.isPatient !== true) throw error
      await patience.wait(error)
      return false
    }
  }

  /**
   * Holds back everything that changes the cluster until these gateways are done with what a dead predecessor of this
   * process has sent them. Reads, which would make them look busy, wait with them for a moment.
   */
  fence(gateways: readonly Address[]): void {
    if (gateways.length === 0) return
    const settling = gateways.map((address) =>
      settled(address, this.protoVer, { world: this.#world, timing: this.timing }),
    )
    this.#fence = Promise.all(settling).finally(() => {
      this.#fence = undefined
    })
  }

  /**
   * Sends a request that changes nothing, as often as it takes. Resolves with any result that is not transient; a holder's
   * failure is not believed before home has said the same, nor is what one says that had not answered in the present epoch
   * before: it may be no holder any more, and not know it.
   */
  async read(message: Message, options: RequestOptions = {}): Promise<Response> {
    if (this.#fence)
      await Promise.race([this.#fence, sleep(this.clock, this.timing.settleSilentMs, { isBackground: true })])
    const { errand, into } = options
    const patience = this.#outage.patience(errand?.waiter)
    try {
      for (let near = this.objectCache || errand ? undefined : options.near; ; near = undefined) {
        const { response, sent, failure } = await this.#delivery.once(message, { near, line: errand }, into)
        if (response && (!near || (response.result === Result.SUCCESS && this.#guard.isPresent(sent)))) return response
        if (failure) await patience.wait(failure)
      }
    } finally {
      patience.end()
    }
  }

  /**
   * Sends a request that may be executed again (a write of the same bytes), as often as it takes; again only when the
   * lost gateway is done with the first copy. The caller holds back overlapping requests until this resolves.
   */
  async change(message: Message, options: ChangeOptions = {}): Promise<Response> {
    const patience = this.#outage.patience(options.errand?.waiter)
    try {
      for (let isFirst = true; ; isFirst = false) {
        const response = await this.#attempt(message, options, { patience, isFirst })
        if (response) return response
      }
    } finally {
      patience.end()
    }
  }

  /**
   * Sends a request that must not be executed twice. Resolves with undefined when nobody knows whether it was executed (the
   * connection was lost, a replica failed, nodes came or went) and the gateway is done with it: the caller looks, with
   * `readReplicas` where the nodes may not agree.
   */
  async changeOnce(message: Message, options: ChangeOptions = {}): Promise<Response | undefined> {
    const patience = this.#outage.patience(options.errand?.waiter)
    try {
      return await this.#attempt(message, options, { patience, isFirst: true })
    } finally {
      patience.end()
    }
  }

  /**
   * Sends a question about the cluster to the home gateway, over a new connection when the first is lost. Resolves with any
   * result, also transient ones: they tell the cluster's state. Does not wait through an outage, unless the errand does.
   * Errors: unreachable, timeout, protocol.
   */
  async query(message: Message, errand?: Errand): Promise<Response> {
    const patience = this.#outage.patience(errand?.waiter)
    const isPatient = errand?.waiter.isPatient === true
    try {
      for (let isFirst = true; ; isFirst = false) {
        try {
          return await (await (errand ?? { connect: () => this.#gateways.home() }).connect()).exchange(message)
        } catch (error) {
          if (!isSheepfsError(error, 'unreachable') && !(isPatient && isSheepfsError(error, 'timeout'))) throw error
          if (isPatient) await patience.wait(error)
          else if (!isFirst) throw error
        }
      }
    } finally {
      patience.end()
    }
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

  /**
   * Sends a read to each holder of the object; resolves with what those have that answer, none when the holders are not
   * known. All of it is of one epoch in which the object stays as it is. Errors: unreachable when the cluster may not be
   * waited for any longer.
   */
  async readReplicas(message: Message, { oid, copies }: Nearness): Promise<Replica[]> {
    for (;;) {
      const { epoch } = await this.#guard.admit({ oid, copies, isNew: false })
      const { topology } = this.#delivery
      const isKnown = topology?.epoch === epoch && !this.objectCache // home alone knows what is in its cache
      const holders = isKnown ? topology.holders(oid, copies) : []
      const replicas = await Promise.all(holders.map((address) => this.#readAt(address, message)))
      if (this.#guard.isPresent(epoch)) return replicas.filter((replica) => replica !== undefined)
    }
  }

  /** Whether a holder says that it has the object, or a strip of it; those that do not answer say nothing. */
  async isHeld(oid: ObjectId, copies: number): Promise<boolean> {
    const holders = this.#delivery.topology?.holders(oid, copies) ?? []
    const answers = holders.map(async (address) => {
      if (!this.#gateways.isWorthTrying(address)) return false
      const { response } = await this.#delivery.once(exist(oid, this.protoVer), { at: address })
      return response?.result === Result.SUCCESS
    })
    return (await Promise.all(answers)).includes(true)
  }

  /** Whether all nodes say that they do nothing as gateways now, for anybody. */
  async isIdle(): Promise<boolean> {
    const nodes = this.#delivery.topology?.addresses ?? []
    const answers = await Promise.all(
      nodes.map((address) => isIdle(address, this.protoVer, { world: this.#world, timing: this.timing })),
    )
    return !answers.includes(false)
  }

  /** Ends all connections; what is in flight rejects with closed. Idempotent. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#guard.close()
    this.#delivery.close()
    this.#outage.timeoutMs = 0
    this.#gateways.destroy(new SheepfsError('closed', 'the cluster client was closed'))
  }

  /** Until a response that stays, or until the request may have been executed, is over, and may be undone. */
  async #attempt(
    message: Message,
    options: ChangeOptions,
    { patience, isFirst }: Attempt,
  ): Promise<Response | undefined> {
    const known = targetOf(message, options.copies)
    const { wasRemoved = false } = options
    const target = known?.isNew === true && (!isFirst || wasRemoved) ? { ...known, isNew: false, wasRemoved } : known
    for (;;) {
      if (this.#fence) await this.#fence
      const admission = target && (await this.#guard.admit(target))
      const { at, errand } = options
      const line = errand && { connect: () => errand.connectForChange() }
      const { response, sent, failure, lost, isUndecided } = await this.#delivery.once(message, { at, line })
      if (response) {
        if (!target || !admission || response.result !== Result.SUCCESS) return response
        return this.#guard.isKept(target, admission, { sent, answered: response.epoch }) ? response : undefined
      }
      if (lost) await lost
      await patience.wait(failure)
      if (isUndecided || options.at) return undefined
    }
  }

  /** As `change`, past the guard, whose own question it is. */
  async #sendUnguarded(message: Message): Promise<Probe> {
    const patience = this.#outage.patience()
    try {
      for (;;) {
        const since = this.clock.now()
        const { response, sent, failure, lost } = await this.#delivery.once(message, {})
        if (response) return { result: response.result, sent, tookMs: this.clock.now() - since }
        if (lost) await lost
        await patience.wait(failure)
      }
    } finally {
      patience.end()
    }
  }

  /**
   * Not by FLUSH_DEL_CACHE, which writes back all that is in the cache of one gateway, old objects too (sheepdog 0.9:
   * sheep/object_cache.c, object_cache_flush_and_delete).
   */
  async #emptyCaches(vids: Iterable<number>): Promise<void> {
    if (this.protoVer === SD_SHEEP_PROTO_VERS[0]) return // 1.0 has none
    const what = (vid: number): string => `object cache of inode ${vid.toString(16)}`
    let isPushing = false
    for (const vid of vids) {
      const { result } = await this.query(flushVdi(vid))
      if (result === Result.SUCCESS) isPushing = true
      else if (result !== Result.INVALID_PARMS) throw resultError(result, what(vid)) // that sheep has none, others may
    }
    // the last push may still be under way when it is answered, and deleting then kills it (object_cache.c, do_push_object)
    if (isPushing) await sleep(this.clock, this.timing.cachePauseMs)
    for (const vid of vids) {
      expectSuccess(await this.query(deleteCache(vid, this.protoVer)), what(vid))
    }
  }

  /** Undefined when the node does not answer, or has no such object. */
  async #readAt(address: Address, message: Message): Promise<Replica | undefined> {
    for (let tries = 1; ; tries++) {
      const { response } = await this.#delivery.once(message, { at: address })
      if (response?.result === Result.SUCCESS) return { address, payload: response.payload }
      if (tries === REPLICA_TRIES) return undefined
      await sleep(this.clock, this.timing.missingPauseMs)
    }
  }
}

interface Attempt {
  readonly patience: Patience
  /** Nothing of the request can have been executed yet. */
  readonly isFirst: boolean
}
