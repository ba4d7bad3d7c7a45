import { sleep, type Clock } from '../clock.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../wire/message.ts'
import { oidText, readOid, type ObjectId } from '../wire/object-id.ts'
import { writeObject } from '../wire/object-ops.ts'
import { Opcode, Req, ReqObj, Result } from '../wire/sd-proto.ts'
import { addressText } from './address.ts'
import type { RecoveryProgress } from './recovery-survey.ts'
import type { Timing } from './timing.ts'
import type { Topology } from './topology.ts'

const EMPTY = new Uint8Array(0)
/** Longest wait for other fetches of an object to end, in overlaps. */
const MAX_OVERLAPS = 5
/** Objects that are remembered as safe; those that are forgotten are probed again. */
const MAX_FENCES = 65_536
/** Epochs in a row whose nodes are remembered: in disk mode a ring has up to 50 MB. */
const MAX_PATH = 4

/** An object that is about to be changed. */
export interface Target {
  readonly oid: ObjectId
  /** Of the VDI it belongs to; undefined: not known. */
  readonly copies: number | undefined
  /** It has never been there, as far as we know. */
  readonly isNew: boolean
  /**
   * It was, until it was removed: a sheep whose list of what to recover has it can fetch it yet, from one that kept an
   * old copy or has not removed it so far (docs/sheepdog-protocol.md#12.4).
   */
  readonly wasRemoved?: boolean
}

/** The epoch in which a change was let through. Settled: all sheep have reached it, and have nothing to recover. */
export interface Admission {
  readonly epoch: number
  readonly isSettled: boolean
}

/** The epochs in which the gateway had answered last before a change was sent, and answered it: it was executed between. */
export interface Passage {
  readonly sent: number
  readonly answered: number
}

/** The answer to a request that was sent as often as it took: the epoch in which it left, and how long it took then. */
export interface Probe {
  readonly result: number
  readonly sent: number
  readonly tookMs: number
}

interface GuardOptions {
  readonly clock: Clock
  readonly timing: Timing
  readonly log: Logger
  readonly send: (message: Message) => Promise<Probe>
  /** Asks all sheep, each for so long. */
  readonly survey: (topology: Topology, limitMs: number) => Promise<RecoveryProgress>
}

/** What a request changes; undefined when it does not change the bytes of an object. */
export function targetOf({ header, payload }: Message, copies: number | undefined): Target | undefined {
  const opcode = Req.opcode.get(header)
  const isNew = opcode === Opcode.CREATE_AND_WRITE_OBJ
  if (!isNew && (opcode !== Opcode.WRITE_OBJ || payload?.length === 0)) return undefined
  return { oid: readOid(header, ReqObj.oid.offset), copies, isNew }
}

/**
 * Keeps changes from being undone when nodes come or go. A sheep that becomes a holder of an object fetches it from
 * another one, and several times at once when requests for it arrive meanwhile: whichever fetch ends last replaces the
 * object by what it has read, and with it writes that were executed, and answered, after an earlier fetch
 * (docs/sheepdog-protocol.md#12.2). So in an epoch whose recovery is not over, the first change of an object waits until
 * an empty write has shown that all holders have it, and then until other fetches of it must be over. A change that was
 * executed in a later epoch than the one it was let through in has to be sent again.
 */
export class RecoveryGuard {
  readonly #options: GuardOptions
  #epoch = 0
  /** When it began, as far as we know. */
  #since = 0
  /** The latest epoch whose recovery is over. */
  #settled = 0
  /** The nodes of the settled epoch and of each since; empty when one of them is not known. */
  #path: Topology[] = []
  #latest: Topology | undefined
  /** All sheep know what they have to recover: an object that none of them has will not appear any more. */
  #isListed = false
  /** By object: until it can be changed in this epoch. */
  #fences = new Map<string, Promise<void>>()
  #isWatching = false
  #isClosed = false

  constructor(options: GuardOptions) {
    this.#options = options
  }

  /** The first node list. Resolves when it is known whether a recovery is under way. */
  async begin(topology: Topology): Promise<void> {
    this.adopt(topology)
    const progress = await this.#options.survey(topology, this.#options.timing.headStartMs)
    const isDone = progress === 'done' || progress === 'done, some unheard'
    if (isDone && this.isPresent(topology.epoch)) this.#settle()
    else void this.#watch()
  }

  /** Every epoch that a sheep has answered with. */
  observe(epoch: number): void {
    if (epoch <= this.#epoch) return
    const isChange = this.#epoch !== 0
    this.#epoch = epoch
    this.#since = this.#options.clock.now()
    this.#isListed = false
    this.#fences = new Map()
    if (!isChange) return
    this.#options.log.info({ epoch }, 'sheep came or went')
    void this.#watch()
  }

  /** A new node list. */
  adopt(topology: Topology): void {
    this.#latest = topology
    this.observe(topology.epoch)
    const last = this.#path.at(-1)
    if (last?.epoch === topology.epoch) return
    if (last?.epoch === topology.epoch - 1 && this.#path.length < MAX_PATH) this.#path.push(topology)
    else this.#path = []
  }

  /** Resolves when the object may be changed without danger. */
  async admit(target: Target): Promise<Admission> {
    for (;;) {
      const epoch = this.#epoch
      const isSettled = epoch === this.#settled
      if (isSettled || this.#isAtRest(target, this.#settled)) return { epoch, isSettled }
      await this.#fence(target, epoch)
      if (epoch === this.#epoch) return { epoch, isSettled }
    }
  }

  /** Whether a change that was executed stays; else it is to be admitted, and sent or looked for, again. */
  isKept(target: Target, { epoch, isSettled }: Admission, { sent, answered }: Passage): boolean {
    return (answered === epoch && (isSettled || sent === epoch)) || this.#isAtRest(target, epoch)
  }

  /** Whether no node is known to have come or gone since. */
  isPresent(epoch: number): boolean {
    return epoch === this.#epoch
  }

  close(): void {
    this.#isClosed = true
  }

  /** Whether no sheep has become a holder of the object, or another strip of it, since the epoch. */
  #isAtRest({ oid, copies, isNew, wasRemoved }: Target, since: number): boolean {
    const [first] = this.#path
    const now = this.#path.at(-1)
    if (isNew || wasRemoved === true || copies === undefined) return false
    if (!first || first.epoch > since || now?.epoch !== this.#epoch) return false
    const places = (topology: Topology): string => topology.holders(oid, copies).map(addressText).join()
    const present = places(now)
    return this.#path.every((topology) => places(topology) === present)
  }

  #fence(target: Target, epoch: number): Promise<void> {
    const fences = this.#fences
    const key = oidText(target.oid)
    const known = fences.get(key)
    if (known && target.wasRemoved !== true) return known
    const fence = this.#raise(target, epoch)
    fence.catch(() => {
      if (fences.get(key) === fence) fences.delete(key) // whoever waits for it sees the failure; the next one tries again
    })
    fences.set(key, fence)
    const [oldest] = fences.keys()
    if (fences.size > MAX_FENCES && oldest !== undefined) fences.delete(oldest)
    return fence
  }

  async #raise({ oid, isNew }: Target, epoch: number): Promise<void> {
    const { clock, timing } = this.#options
    const { firstPauseMs, recoveryOverlapMs } = timing
    const isListed = this.#isListed
    let probe = await this.#options.send(writeObject(oid, 0, EMPTY))
    while (probe.sent < epoch && this.isPresent(epoch)) {
      await sleep(clock, firstPauseMs) // may have been executed where the object was before
      probe = await this.#options.send(writeObject(oid, 0, EMPTY))
    }
    if (probe.result === Result.NO_OBJ && isNew && isListed) return
    const overlapMs = Math.max(recoveryOverlapMs, probe.tookMs)
    await sleep(clock, Math.min(overlapMs, MAX_OVERLAPS * recoveryOverlapMs))
  }

  /** Until the recovery of the latest epoch is over. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return
    this.#isWatching = true
    const { clock, timing } = this.#options
    while (!this.#isClosed && this.#settled !== this.#epoch) {
      const epoch = this.#epoch
      const progress = await this.#progress(epoch)
      if (!this.isPresent(epoch)) continue
      this.#isListed ||= progress === 'done' || progress === 'listed'
      const pauseMs = progress === 'done' ? timing.recoveryOverlapMs : timing.recoveryPollMs
      await sleep(clock, pauseMs, { isBackground: true })
      if (progress === 'done' && this.isPresent(epoch)) this.#settle()
    }
    this.#isWatching = false
  }

  /** As the sheep say; those that cannot be asked from here, where only gateways can be reached, have only so long. */
  async #progress(epoch: number): Promise<RecoveryProgress> {
    const { connectTimeoutMs, recoveryUnheardMs } = this.#options.timing
    const since = this.#since
    if (this.#latest?.epoch !== epoch) return 'unknown'
    const progress = await this.#options.survey(this.#latest, connectTimeoutMs)
    const isLate = this.#options.clock.now() - since >= recoveryUnheardMs
    return progress === 'done, some unheard' && isLate ? 'done' : progress
  }

  #settle(): void {
    const isNews = this.#settled !== 0
    this.#settled = this.#epoch
    this.#path = this.#latest?.epoch === this.#epoch ? [this.#latest] : []
    this.#fences = new Map()
    if (isNews) this.#options.log.info({ epoch: this.#epoch }, 'the sheep have recovered')
  }
}
