import { sleep, type Timer } from '../clock.ts'
import { parseRecoveryPhase, statRecovery } from '../wire/info-ops.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { Result } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { ClusterWatch } from './cluster-watch.ts'
import type { Gateways } from './gateways.ts'
import { askAll } from './map-in-order.ts'

interface Options extends Pick<ClientContext, 'world' | 'timing' | 'known'> {
  readonly gateways: Pick<Gateways, 'to' | 'isWorthTrying'>
  readonly watch: Pick<ClusterWatch, 'notice' | 'noticeRecovery'>
}

/**
 * Sees recoveries that begin without a new epoch: a disk failed, was unplugged or plugged in, or a VDI got other copies. They
 * undo writes as others do, and nothing tells of them but STAT_RECOVERY (docs/sheepdog-protocol.md#12.5). So the sheep
 * whose objects are being changed are asked a few times a second, over the connections that reads use; when nothing is
 * changed, nobody is asked.
 */
export class DiskWatch {
  readonly #options: Options
  /** Hold objects that were changed since they were asked last. */
  readonly #touched = new Set<Address>()
  /** Have not answered yet. */
  readonly #asked = new Set<Address>()
  #timer: Timer | undefined
  /** Until the first question after a while is answered. */
  #first: Promise<void> | undefined
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /**
   * An object is about to be changed, of `copies` when they are known. What the result resolves with is to be awaited before the
   * change is believed: nobody had been asked for a while.
   */
  noteChange(oid: ObjectId, copies: number | undefined): Promise<unknown> | undefined {
    const { topology } = this.#options.known
    if (!topology) return undefined
    const holders = copies === undefined ? topology.addresses : topology.holders(oid, copies)
    for (const holder of holders) this.#touched.add(holder)
    if (!this.#timer) this.#first = this.#askFirst()
    return this.#first
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  async #askFirst(): Promise<void> {
    const { world, timing } = this.#options
    await Promise.race([this.#poll(), sleep(world.clock, timing.diskPollMs, { isBackground: true })])
    this.#first = undefined
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
    const { known, gateways, watch } = this.#options
    if (this.#asked.has(address) || !gateways.isWorthTrying(address)) return
    this.#asked.add(address)
    try {
      const connection = await gateways.to(address)
      const { result, epoch, payload } = await connection.exchange(statRecovery(known.protoVer))
      watch.notice(epoch)
      if (result === Result.SUCCESS && parseRecoveryPhase(payload) !== 'none') watch.noticeRecovery(epoch)
    } catch {
      // of a sheep that is lost, the epoch tells
    } finally {
      this.#asked.delete(address)
    }
  }
}
