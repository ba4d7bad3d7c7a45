import { sleep } from '../clock.ts'
import { isNoAnswer, isSheepfsError, SheepfsError } from '../errors.ts'
import type { Message, ObjectMessage, Response } from '../wire/message.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { exist } from '../wire/object-ops.ts'
import { Result, SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { ClusterWatch } from './cluster-watch.ts'
import type { Delivery, Try } from './delivery.ts'
import type { DiskWatch } from './disk-watch.ts'
import type { Gateways } from './gateways.ts'
import type { HolderTurns } from './holder-turns.ts'
import type { LockWatch } from './lock-watch.ts'
import type { Patience } from './outage.ts'
import { targetOf, type Admission, type RecoveryGuard, type Target } from './recovery-guard.ts'
import type { MeantOptions, RequestOptions } from './requests.ts'
import type { Waiter } from './waiter.ts'

/** How often a node is asked what it has of an object. */
const REPLICA_TRIES = 3

/** What one holder of an object has of it. */
export interface Replica {
  readonly address: Address
  readonly payload: Uint8Array
}

/** What the holders of an object have of it. */
export interface Replicas {
  readonly answers: readonly Replica[]
  /** All holders have answered. */
  readonly isComplete: boolean
}

interface Options extends ClientContext {
  readonly guard: RecoveryGuard
  readonly delivery: Delivery
  readonly gateways: Gateways
  readonly turns: HolderTurns
  readonly lockWatch: LockWatch
  readonly diskWatch: DiskWatch
  readonly watch: ClusterWatch
}

/** Sends requests again after a loss or a transient result, for as long as the outage may last, and changes past no guard. */
export class PatientRequests {
  readonly #options: Options
  /** Nothing is changed before: what a predecessor had sent may still be under way. */
  #fence: Promise<unknown> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Holds back all changes until this has resolved, and reads for a moment. */
  fence(settled: Promise<unknown>): void {
    this.#fence = settled.finally(() => {
      this.#fence = undefined
    })
  }

  /** Changes are held back. */
  get isFenced(): boolean {
    return this.#fence !== undefined
  }

  /**
   * Sends a request that changes nothing, as often as it takes. Resolves with any result that is not transient; a holder's
   * failure is not believed before home has said the same, nor is what one says that had not answered in the present epoch
   * before: it may be no holder any more, and not know it. A holder that takes long is not waited for while there is another.
   */
  async read(message: Message, options: MeantOptions): Promise<Response> {
    const { world, timing, known, delivery, gateways } = this.#options
    const { copies, into, caller, generation } = options
    if (this.#fence)
      await Promise.race([this.#fence, sleep(world.clock, timing.settleSilentMs, { isBackground: true })])
    const { oid } = message
    const slow = new Set<Address>()
    let near = copies
    return this.#patiently(options, async (patience) => {
      const tried = await delivery.read(message, { copies: near, into, caller, generation }, slow)
      const isFinal = near === undefined
      const { response } = tried
      if (response && (isFinal || (response.result === Result.SUCCESS && known.isPresent(tried.sentIn))))
        return response
      if (tried.slow) slow.add(tried.slow)
      else if (tried.failure) await patience.wait(tried.failure)
      if (tried.slow && oid && near !== undefined && gateways.hasHolder(oid, near, slow)) return undefined
      near = undefined
      return undefined
    })
  }

  /**
   * Sends a request that may be executed again (a write of the same bytes), as often as it takes; again only when the
   * lost gateway is done with the first copy. The caller holds back overlapping requests until this resolves.
   */
  change(message: Message, options: MeantOptions): Promise<Response> {
    let isFirst = true
    return this.#patiently(options, async (patience) => {
      const response = await this.#attempt(message, options, { patience, isFirst })
      isFirst = false
      return response
    })
  }

  /**
   * Sends a request that must not be executed twice. Resolves with undefined when nobody knows whether it was executed (the
   * connection was lost, a replica failed, nodes came or went) and the gateway is done with it: the caller looks, with
   * `readReplicas` where the nodes may not agree.
   */
  async changeOnce(message: Message, options: MeantOptions): Promise<Response | undefined> {
    const { response } = await this.#patiently(options, async (patience) => ({
      response: await this.#attempt(message, options, { patience, isFirst: true }),
    }))
    return response
  }

  /**
   * Sends a read to each holder of the object; resolves with what those have that answer, none when the holders are not
   * known. All of it is of one epoch in which the object stays as it is. Errors: unreachable when the cluster may not be
   * waited for any longer.
   */
  readReplicas(message: ObjectMessage, copies: number, options: MeantOptions): Promise<Replicas> {
    const { known } = this.#options
    const { generation } = options
    const target = { oid: message.oid, copies, isNew: false, wasRemoved: false }
    return this.#patiently(options, async (patience) => {
      if (generation !== undefined) known.check(generation)
      const { epoch } = await this.#admitted(target, patience)
      const holders = known.topology?.epoch === epoch ? known.topology.holders(message.oid, copies) : []
      const replicas = await Promise.all(holders.map((at) => this.#readAt(at, message, { generation, patience })))
      if (!known.isPresent(epoch)) return undefined
      return { answers: replicas.filter((replica) => replica !== undefined), isComplete: !replicas.includes(undefined) }
    })
  }

  /**
   * Sends a question about the cluster to home, over a new connection when the first is lost. Resolves with any result, also
   * transient ones: they tell the cluster's state. Does not wait through an outage, unless the caller does. Errors:
   * unreachable, timeout, protocol.
   */
  query(message: Message, { caller, generation }: MeantOptions): Promise<Response> {
    const { known, outage, gateways } = this.#options
    let isFirst = true
    return outage.untilReached(caller?.waiter, async () => {
      try {
        const connection = await (caller ? caller.connect() : gateways.home())
        if (generation !== undefined) known.check(generation)
        return await connection.exchange(message)
      } catch (error) {
        const isOver = !isFirst || caller?.waiter.isPatient === true || !isSheepfsError(error, 'unreachable')
        if (isOver) throw error
        isFirst = false
        return undefined
      }
    })
  }

  /** Waits until home has said which cluster it is. */
  async verify(waiter: Waiter | undefined): Promise<void> {
    const { outage, watch } = this.#options
    await outage.patiently({ waiter }, async (patience) => {
      try {
        await watch.verify()
        return true
      } catch (error) {
        if (!isNoAnswer(error)) throw error
        await patience.wait(error)
        return undefined
      }
    })
  }

  /**
   * Whether a holder says that it has the object, or a strip of it; those that do not answer say nothing. A sheep of 0.8 may die
   * of the question, and looks like one of 0.9: there it is taken to be held.
   */
  async isHeld(oid: ObjectId, copies: number, generation: number | undefined): Promise<boolean> {
    const { known, delivery, gateways } = this.#options
    if (known.protoVer < SD_SHEEP_PROTO_VERS[0]) return true
    const message = exist(oid, known.protoVer)
    const holders = known.topology?.holders(oid, copies) ?? []
    const answers = holders.map(async (address) => {
      if (!gateways.isWorthTrying(address)) return false
      const { response } = await delivery.read(message, { at: address, generation })
      return response?.result === Result.SUCCESS
    })
    return (await Promise.all(answers)).includes(true)
  }

  /** Until a response that stays, or until the request may have been executed, is over, and may be undone. */
  async #attempt(
    message: Message,
    options: MeantOptions,
    { patience, isFirst }: Attempt,
  ): Promise<Response | undefined> {
    const { guard } = this.#options
    const known = targetOf(message, options)
    const target = known && { ...known, isNew: known.isNew && isFirst }
    for (;;) {
      if (this.#fence)
        await patience.during(this.#fence, waiting('what a worker before this one had sent may be under way'))
      await this.#zonesFor(options, patience)
      const admission = target && (await this.#admitted(target, patience))
      const { response, sentIn, failure, lost, isUndecided } = await this.#inTurn(message, options, {
        patience,
        isWatched: target !== undefined,
      })
      if (response) {
        if (!target || !admission || response.result !== Result.SUCCESS) return response
        if (this.#lackOfZones(options)) return undefined
        return guard.isKept(target, admission, { sentIn, answeredIn: response.epoch }) ? response : undefined
      }
      if (lost) await patience.during(lost, failure) // a later request could be overtaken by it
      await patience.wait(failure)
      if (isUndecided || options.at) return undefined
    }
  }

  /** Sends a change once, when its turn has come and it is known who has the locks. */
  #inTurn(message: Message, options: MeantOptions, { patience, isWatched }: Passing): Promise<Try> {
    const { delivery, turns, lockWatch, diskWatch } = this.#options
    const { oid } = message
    const { copies } = options
    return turns.pass({ oid, copies }, patience, async () => {
      for (let doubt = lockWatch.doubtOf(message); doubt; doubt = lockWatch.doubtOf(message)) {
        await patience.until(doubt, waiting('it is not known yet who has the locks'))
      }
      const send = (): Promise<Try> => delivery.change(message, options)
      return oid && isWatched ? diskWatch.pass({ oid, copies }, send) : send()
    })
  }

  #patiently<T>(
    { patience, caller }: RequestOptions,
    attempt: (patience: Patience) => Promise<T | undefined>,
  ): Promise<T> {
    return this.#options.outage.patiently({ patience, waiter: caller?.waiter }, attempt)
  }

  #admitted(target: Target, patience: Patience): Admission | Promise<Admission> {
    const admission = this.#options.guard.admit(target)
    if (!(admission instanceof Promise)) return admission
    this.#options.diskWatch.note(target) // another recovery may begin meanwhile
    return patience.until(admission, waiting('nodes or disks came or went: the object is changed once it is recovered'))
  }

  /** Resolves when each strip of the object has a zone. Errors: stale when it is another cluster by then. */
  async #zonesFor(options: MeantOptions, patience: Patience): Promise<void> {
    const { watch, known } = this.#options
    for (let lack = this.#lackOfZones(options); lack; lack = this.#lackOfZones(options)) {
      await watch.reload()
      if (options.generation !== undefined) known.check(options.generation)
      await patience.wait(lack)
    }
  }

  /** Why an erasure-coded object may not be changed now; undefined when it may. */
  #lackOfZones({ strips }: RequestOptions): SheepfsError | undefined {
    const { topology, epoch } = this.#options.known
    if (strips === undefined || !topology) return undefined
    if (topology.epoch !== epoch) return waiting('the nodes of the cluster are not known yet')
    const { zones } = topology
    if (zones < strips)
      return waiting(`the cluster has ${zones} zones, and what is erasure-coded needs ${strips} to be written`)
    return zones === strips ? this.#lackOfCalm() : undefined
  }

  /**
   * Why no zone may be lost now. What is written while a node is away, before another dies that leaves too few zones, is taken from
   * the first one's old strips when that comes back (docs/sheepdog-protocol.md#10).
   */
  #lackOfCalm(): SheepfsError | undefined {
    const { world, timing, known } = this.#options
    if (world.clock.now() - known.since >= timing.zoneCalmMs) return undefined
    const [absent] = known.absent
    return absent === undefined
      ? undefined
      : waiting(`sheep ${absent} has just gone, and what is erasure-coded has no zone to spare: others may follow`)
  }

  /** Undefined when the node does not answer, for as long as the request may wait, or has no such object. */
  async #readAt(
    address: Address,
    message: Message,
    { generation, patience }: ReplicaRead,
  ): Promise<Replica | undefined> {
    const { world, timing, delivery } = this.#options
    for (let tries = 1; ; tries++) {
      const { response } = await delivery.read(message, { at: address, generation })
      if (response?.result === Result.SUCCESS) return { address, payload: response.payload }
      if (tries === REPLICA_TRIES || patience.isOver) return undefined
      await sleep(world.clock, timing.missingPauseMs)
    }
  }
}

/** Why a request waits before it is sent. */
function waiting(why: string): SheepfsError {
  return new SheepfsError('unreachable', why)
}

interface ReplicaRead {
  readonly generation: number | undefined
  readonly patience: Patience
}

interface Passing {
  readonly patience: Patience
  /** A recovery could undo it. */
  readonly isWatched: boolean
}

interface Attempt {
  readonly patience: Patience
  /** Nothing of the request can have been executed yet. */
  readonly isFirst: boolean
}
