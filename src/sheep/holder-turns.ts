import { SheepfsError } from '../errors.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { addressText, isSameAddress, type Address } from './address.ts'
import type { KnownCluster } from './known-cluster.ts'
import type { Patience } from './outage.ts'

/**
 * Changes under way at a time that one sheep beside home has to take part in. Home serves its clients with 32 threads or more
 * (sheepdog 1.0: lib/work.c, wq_get_roof), and a change keeps one of them busy until all holders of the object have answered, for
 * up to 35 s (gateway.c, wait_forward_request). With this, a sheep that is stopped leaves threads for all other requests; with half
 * of it, changes that all sheep answer get noticeably slower at a depth of 64.
 */
const MOST_FOR_HOLDER = 24

interface Options {
  readonly known: Pick<KnownCluster, 'topology'>
  /** The sheep that is sent the changes. */
  readonly home: () => Address | undefined
}

interface Changed {
  readonly oid?: ObjectId | undefined
  /** Undefined: it is not known who holds the object. */
  readonly copies?: number | undefined
}

interface Waiting {
  readonly holders: readonly string[]
  readonly begin: () => void
}

/** Sends changes in the order in which they come, but for those that a sheep has to take part in which has enough to do. */
export class HolderTurns {
  readonly #options: Options
  /** Changes, by holder. */
  readonly #underWay = new Map<string, number>()
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>()

  constructor(options: Options) {
    this.#options = options
  }

  /** Sends a change when its turn has come. Errors: those of `send`; unreachable when it has waited as long as it may. */
  async pass<T>(changed: Changed, patience: Patience, send: () => Promise<T>): Promise<T> {
    const holders = this.#holdersOf(changed)
    if (!this.#begin(holders)) await this.#turn(holders, patience)
    try {
      return await send()
    } finally {
      this.#end(holders)
    }
  }

  #holdersOf({ oid, copies }: Changed): string[] {
    const { known, home } = this.#options
    if (!oid || copies === undefined || !known.topology) return []
    const own = home()
    const others = known.topology.holders(oid, copies).filter((holder) => !own || !isSameAddress(holder, own))
    return others.map(addressText)
  }

  async #turn(holders: readonly string[], patience: Patience): Promise<void> {
    let begin = (): void => undefined
    const turn = new Promise<void>((resolve) => (begin = resolve))
    const waiting = { holders, begin }
    this.#waiting.add(waiting)
    try {
      const why = `sheep ${holders.join(' or ')} has not answered earlier changes`
      await patience.until(turn, new SheepfsError('unreachable', why))
    } catch (error) {
      if (!this.#waiting.delete(waiting)) this.#end(holders) // it had just begun
      throw error
    }
  }

  /** Whether it has begun. */
  #begin(holders: readonly string[]): boolean {
    if (holders.some((holder) => (this.#underWay.get(holder) ?? 0) >= MOST_FOR_HOLDER)) return false
    for (const holder of holders) this.#underWay.set(holder, (this.#underWay.get(holder) ?? 0) + 1)
    return true
  }

  #end(holders: readonly string[]): void {
    for (const holder of holders) {
      const left = (this.#underWay.get(holder) ?? 0) - 1
      if (left > 0) this.#underWay.set(holder, left)
      else this.#underWay.delete(holder)
    }
    for (const waiting of this.#waiting) {
      if (!this.#begin(waiting.holders)) continue
      this.#waiting.delete(waiting)
      waiting.begin()
    }
  }
}
