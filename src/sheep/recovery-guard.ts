import { sleep } from '../clock.ts'
import type { Message } from '../wire/message.ts'
import { oidText, type ObjectId } from '../wire/object-id.ts'
import { writeObject } from '../wire/object-ops.ts'
import { Opcode, Req, Result } from '../wire/sd-proto.ts'
import type { ClientContext } from './client-context.ts'
import type { Delivery } from './delivery.ts'
import type { HolderTurns } from './holder-turns.ts'
import type { RequestOptions } from './requests.ts'

const EMPTY = new Uint8Array(0)
/** Longest wait for other fetches of an object to end, in overlaps. */
const MAX_OVERLAPS = 5
/** Objects that are remembered as safe; those that are forgotten are probed again. */
const MAX_CLEARANCES = 65_536

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
  readonly wasRemoved: boolean
}

/** The epoch in which a change was let through. Recovered: all sheep have reached it, and have nothing to recover. */
export interface Admission {
  readonly epoch: number
  readonly isRecovered: boolean
  /** See `KnownCluster`. */
  readonly diskRecoveries: number
}

/** The epochs in which the gateway had answered last before a change was sent, and answered it: it was executed between. */
export interface Passage {
  readonly sentIn: number
  readonly answeredIn: number
}

interface GuardOptions extends Omit<ClientContext, 'log'> {
  readonly delivery: Pick<Delivery, 'change'>
  readonly turns: Pick<HolderTurns, 'pass'>
  /** Replaced in tests. */
  readonly maxClearances?: number
}

/** What a request changes; undefined when it does not change the bytes of an object. */
export function targetOf(
  { header, payload, oid }: Message,
  { copies, wasRemoved = false }: RequestOptions,
): Target | undefined {
  const opcode = Req.opcode.get(header)
  const isNew = opcode === Opcode.CREATE_AND_WRITE_OBJ
  if (!oid || (!isNew && (opcode !== Opcode.WRITE_OBJ || payload?.length === 0))) return undefined
  return { oid, copies, isNew: isNew && !wasRemoved, wasRemoved: isNew && wasRemoved }
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
  /** By object: until it can be changed in the recovery for which it was given. */
  #clearances = new Map<string, Promise<void>>()
  #clearedFor = { epoch: 0, diskRecoveries: 0 }

  constructor(options: GuardOptions) {
    this.#options = options
  }

  /** When the object may be changed without danger: at once when nothing is being recovered. */
  admit(target: Target): Admission | Promise<Admission> {
    const { epoch, recovered, diskRecoveries } = this.#options.known
    const isRecovered = epoch === recovered
    const admission = { epoch, isRecovered, diskRecoveries }
    if (isRecovered) this.#clearances.clear()
    return isRecovered || this.#isAtRest(target, recovered) ? admission : this.#admitCleared(target, admission)
  }

  async #admitCleared(target: Target, admission: Admission): Promise<Admission> {
    const { known } = this.#options
    await this.#clearance(target, admission)
    const isSame = known.isPresent(admission.epoch) && known.diskRecoveries === admission.diskRecoveries
    return isSame ? admission : this.admit(target)
  }

  /** Whether a change that was executed stays; else it is to be admitted, and sent or looked for, again. */
  isKept(target: Target, { epoch, isRecovered, diskRecoveries }: Admission, { sentIn, answeredIn }: Passage): boolean {
    if (diskRecoveries !== this.#options.known.diskRecoveries) return false
    return (answeredIn === epoch && (isRecovered || sentIn === epoch)) || this.#isAtRest(target, epoch)
  }

  #isAtRest({ oid, copies, isNew, wasRemoved }: Target, since: number): boolean {
    return !isNew && !wasRemoved && copies !== undefined && this.#options.known.isAtRest(oid, copies, since)
  }

  #clearance(target: Target, { epoch, diskRecoveries }: Admission): Promise<void> {
    const former = this.#clearedFor
    if (epoch !== former.epoch || diskRecoveries !== former.diskRecoveries) this.#clearances = new Map()
    this.#clearedFor = { epoch, diskRecoveries }
    const clearances = this.#clearances
    const key = oidText(target.oid)
    const given = clearances.get(key)
    if (given && !target.wasRemoved) return given
    const clearance = this.#clear(target, epoch)
    clearance.catch(() => {
      if (clearances.get(key) === clearance) clearances.delete(key) // who waits for it sees the failure; the next one tries again
    })
    clearances.set(key, clearance)
    const [oldest] = clearances.keys()
    const { maxClearances = MAX_CLEARANCES } = this.#options
    if (clearances.size > maxClearances && oldest !== undefined) clearances.delete(oldest)
    return clearance
  }

  async #clear({ oid, copies, isNew }: Target, epoch: number): Promise<void> {
    const { world, timing, known } = this.#options
    const { isListed } = known
    let probe = await this.#probe({ oid, copies })
    while (probe.sentIn < epoch && known.isPresent(epoch)) {
      await sleep(world.clock, timing.firstPauseMs) // may have been executed where the object was before
      probe = await this.#probe({ oid, copies })
    }
    if (probe.result === Result.NO_OBJ && isNew && isListed) return
    const overlapMs = Math.max(timing.recoveryOverlapMs, probe.tookMs)
    await sleep(world.clock, Math.min(overlapMs, MAX_OVERLAPS * timing.recoveryOverlapMs))
  }

  /** Sends an empty write as often as it takes: its result, the epoch in which it left, and how long it took then. */
  #probe(changed: Pick<Target, 'oid' | 'copies'>): Promise<{ result: number; sentIn: number; tookMs: number }> {
    const { world, known, outage, delivery, turns } = this.#options
    const { generation } = known
    const message = writeObject(changed.oid, 0, EMPTY)
    return outage.patiently({}, async (patience) => {
      let since = 0
      const { response, sentIn, failure, lost } = await turns.pass(changed, patience, () => {
        since = world.clock.now()
        return delivery.change(message, { generation })
      })
      if (response) return { result: response.result, sentIn, tookMs: world.clock.now() - since }
      if (lost) await patience.during(lost, failure)
      await patience.wait(failure)
      return undefined
    })
  }
}
