import { sleep } from '../clock.ts'
import { SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { Gateways } from './gateways.ts'
import { askAll } from './map-in-order.ts'
import { isIdle } from './settle.ts'

/** Later looks are rarer. */
const LAST_PAUSES = 20

interface Options extends Pick<ClientContext, 'world' | 'timing' | 'known'> {
  readonly gateways: Pick<Gateways, 'to'>
}

interface Asker {
  /** A time of the clock. */
  readonly since: number
  readonly isWanted: () => boolean
  readonly resolve: () => void
}

/**
 * Knows of each node when it had last done all that it was given as a gateway, with the removals that follow from it
 * (docs/sheepdog-protocol.md#12.3). A busy cluster is hardly ever idle as a whole: each node is ticked off on its own, and
 * asked once for all volumes.
 */
export class IdleWatch {
  readonly #options: Options
  /** By address: what it was given before is done. */
  readonly #idleAt = new Map<string, number>()
  #askers: Asker[] = []
  #isAsking = false
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  /** Whether it can be told: sheep before 1.0 do not say it. */
  get canTell(): boolean {
    return this.#options.known.protoVer === SD_SHEEP_PROTO_VERS[0]
  }

  /** Resolves when all nodes have done what they were given up to now. Never when nobody wants to know it any more. */
  allDone(isWanted: () => boolean): Promise<void> {
    const since = this.#options.world.clock.now()
    return new Promise((resolve) => {
      this.#askers.push({ since, isWanted, resolve })
      if (!this.#isAsking) void this.#ask()
    })
  }

  close(): void {
    this.#isClosed = true
  }

  /** Never rejects. */
  async #ask(): Promise<void> {
    const { world, timing } = this.#options
    this.#isAsking = true
    for (let pauses = 1; !this.#isOver(); pauses = Math.min(2 * pauses, LAST_PAUSES)) {
      await sleep(world.clock, pauses * timing.idlePollMs, { isBackground: true })
      const latest = Math.max(...this.#askers.map(({ since }) => since))
      const busy = this.#nodes().filter((node) => this.#idleSince(node) < latest)
      await askAll(busy, (node) => this.#tick(node))
    }
    this.#isAsking = false
  }

  /** Tells those who can be told. */
  #isOver(): boolean {
    const nodes = this.#nodes()
    const doneUpTo = nodes.length === 0 ? -Infinity : Math.min(...nodes.map((node) => this.#idleSince(node)))
    const wanted = this.#askers.filter(({ isWanted }) => isWanted())
    this.#askers = wanted.filter(({ since }) => since > doneUpTo)
    for (const { since, resolve } of wanted) if (since <= doneUpTo) resolve()
    return this.#askers.length === 0 || this.#isClosed
  }

  /** None while they are not known. */
  #nodes(): readonly Address[] {
    return this.#options.known.topology?.addresses ?? []
  }

  #idleSince(node: Address): number {
    return this.#idleAt.get(addressText(node)) ?? -Infinity
  }

  async #tick(node: Address): Promise<void> {
    const { world, gateways } = this.#options
    const begun = world.clock.now()
    if (await isIdle(() => gateways.to(node), this.#options)) this.#idleAt.set(addressText(node), begun)
  }
}
