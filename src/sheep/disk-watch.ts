import { sleep, type Timer } from '../clock.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { Result } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { Try } from './delivery.ts'
import type { Gateways } from './gateways.ts'
import { askAll } from './map-in-order.ts'
import { RecoveryInquiry, type InquiryOptions } from './recovery-inquiry.ts'

/** A change that took so many times as long as is usual may have waited until its object was fetched. */
const SLOW = 3
/** What the latest change counts in what is usual. */
const WEIGHT = 1 / 16

interface Options extends InquiryOptions, Pick<ClientContext, 'world' | 'timing'> {
  readonly gateways: Pick<Gateways, 'to' | 'openTo' | 'isWorthTrying'>
}

/** An object that is about to be changed; `copies`: undefined when they are not known. */
interface Changed {
  readonly oid: ObjectId
  readonly copies: number | undefined
}

/**
 * Sees recoveries that begin without a new epoch: a disk failed, was unplugged or plugged in, or a VDI got other copies. They
 * undo writes as others do, and nothing tells of them but STAT_RECOVERY (docs/sheepdog-protocol.md#12.5). So the sheep
 * whose objects are being changed are asked a few times a second, over the connections that reads use, and after each change that
 * took long, before it is believed. When nothing is changed, nobody is asked.
 */
export class DiskWatch {
  readonly #options: Options
  /** Hold objects that were changed since they were asked last. */
  readonly #touched = new Set<Address>()
  readonly #inquiries = new WeakMap<Address, RecoveryInquiry>()
  #timer: Timer | undefined
  /** Until the first question after a while is answered. */
  #first: Promise<unknown> | undefined
  /** How long a change takes; undefined before the first. */
  #usualMs: number | undefined
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Sends a change. Resolves when a recovery that may undo it has been noticed, if there is one. */
  async pass(changed: Changed, send: () => Promise<Try>): Promise<Try> {
    const { clock } = this.#options.world
    const holders = this.note(changed)
    const first = this.#first
    const since = clock.now()
    const outcome = await send()
    if (outcome.response?.result !== Result.SUCCESS) return outcome
    const isSlow = this.#isSlow(clock.now() - since)
    await first
    if (isSlow) await this.#askAfter(holders)
    else {
      const underWay = holders.flatMap((holder) => this.#inquiryOf(holder).underWay ?? [])
      if (underWay.length > 0) await this.#inTime(Promise.all(underWay))
    }
    return outcome
  }

  /** An object is about to be changed: its holders are asked soon. Returns who they are, as far as is known. */
  note({ oid, copies }: Changed): readonly Address[] {
    const { topology } = this.#options.known
    if (!topology) return []
    const holders = copies === undefined ? topology.addresses : topology.holders(oid, copies)
    for (const holder of holders) this.#touched.add(holder)
    if (!this.#timer) this.#askFirst()
    return holders
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #isSlow(tookMs: number): boolean {
    const usualMs = this.#usualMs ?? tookMs
    this.#usualMs = usualMs + WEIGHT * (tookMs - usualMs)
    return tookMs > SLOW * usualMs
  }

  #askFirst(): void {
    this.#first = this.#inTime(this.#poll()).finally(() => {
      this.#first = undefined
    })
  }

  async #poll(): Promise<void> {
    this.#timer = undefined
    const touched = [...this.#touched]
    if (touched.length === 0 || this.#isClosed) return
    this.#touched.clear()
    const { world, timing } = this.#options
    this.#timer = world.clock.after(timing.diskPollMs, () => void this.#poll(), { isBackground: true })
    await askAll(touched, (address) => this.#ask(address))
  }

  async #ask(address: Address): Promise<void> {
    const { gateways } = this.#options
    if (this.#inquiryOf(address).underWay || !gateways.isWorthTrying(address)) return
    try {
      const connection = await gateways.to(address)
      await this.#inquiryOf(address).ask(connection)
    } catch {
      // of a sheep that is lost, the epoch tells
    }
  }

  /** Resolves when those that can be asked at once have answered what they are asked from now on. */
  #askAfter(holders: readonly Address[]): Promise<unknown> {
    const answers = holders.map(async (holder) => {
      const connection = this.#options.gateways.openTo(holder)
      if (connection) await this.#inquiryOf(holder).ask(connection)
    })
    return this.#inTime(Promise.all(answers))
  }

  /** Sheep that do not answer are not waited for. */
  #inTime(answers: Promise<unknown>): Promise<unknown> {
    const { world, timing } = this.#options
    return Promise.race([answers, sleep(world.clock, timing.diskPollMs, { isBackground: true })])
  }

  #inquiryOf(address: Address): RecoveryInquiry {
    const inquiry = this.#inquiries.get(address) ?? new RecoveryInquiry(this.#options)
    this.#inquiries.set(address, inquiry)
    return inquiry
  }
}
