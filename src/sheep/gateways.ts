import type { Clock } from '../clock.ts'
import { errorText, isSheepfsError, SheepfsError } from '../errors.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { addressText, isSameAddress, type Address } from './address.ts'
import type { Connection } from './connection.ts'
import type { ClientContext } from './client-context.ts'
import { Sheep } from './sheep.ts'
import { loadFormat, loadTopology } from './topology-load.ts'
import type { Waiter } from './waiter.ts'

interface GatewaysOptions extends ClientContext {
  /** Called with every sheep that is to change something, before anything is sent to it; with home last. */
  readonly onHome: (address: Address) => void
  /** The cluster is about to be left for another one: nothing that is known or held of it counts then. `home`: of it, if it has one. */
  readonly onLeave: (home: Address | undefined) => void
  /** Home was lost, or is another one. */
  readonly onHomeLost: () => void
}

/** Sheep that are known by a connection each: a list of nodes may name thousands. */
const MOST_SHEEP = 1024

/**
 * Chooses the sheep to talk to. Home is the first to answer of the configured addresses, then of the nodes of the cluster,
 * each a moment after the one before, those that failed lately last; it stays home until it is lost. Reads may go to a
 * sheep that holds the object; one that cannot be reached from here is left alone for a while and home is asked instead.
 */
export class Gateways {
  readonly #options: GatewaysOptions
  readonly #sheep = new Map<string, Sheep>()
  #configured: readonly Address[]
  #remembered: readonly Address[] = []
  #home: Sheep | undefined
  #formerReconnects = 0
  #choosing: Promise<Connection> | undefined
  #closed: SheepfsError | undefined

  constructor(configured: readonly Address[], options: GatewaysOptions) {
    this.#configured = configured
    this.#options = options
  }

  get configured(): readonly Address[] {
    return this.#configured
  }

  get homeAddress(): Address | undefined {
    return this.#home?.address
  }

  /** Where the connection to home leads to. */
  get homePeer(): Address | undefined {
    return this.#home?.connection?.peer ?? this.#home?.address
  }

  /** Requests in flight on all connections. */
  get inFlight(): number {
    let sum = 0
    for (const sheep of this.#sheep.values()) sum += sheep.connection?.inFlight ?? 0
    return sum
  }

  /** Connections made again after a loss. */
  get reconnects(): number {
    let sum = this.#formerReconnects
    for (const sheep of this.#sheep.values()) sum += sheep.reconnects
    return sum
  }

  /** A connection to home, chosen anew when there is none. Errors: unreachable when nobody answers. */
  home(): Promise<Connection> {
    const connection = this.#home?.connection
    if (connection) return Promise.resolve(connection)
    this.#choosing ??= this.#chooseHome().finally(() => {
      this.#choosing = undefined
    })
    return this.#choosing
  }

  /** A connection to home for one caller, who destroys it. Errors: unreachable when nobody answers, timeout. */
  async line(): Promise<Connection> {
    return this.#sheepAt((await this.home()).address).openLine()
  }

  /**
   * An open connection to a holder of the object, but not to one of `except`: the least busy one of those that answer, or the one that
   * answered last; else home.
   */
  near(oid: ObjectId, copies: number, except?: ReadonlySet<Address>): Promise<Connection> {
    let best: Connection | undefined
    for (const sheep of this.#holders(oid, copies)) {
      const { connection } = sheep
      if (!sheep.isWorthTrying || except?.has(sheep.address)) continue
      if (!connection) this.#connectAside(sheep)
      else if (!best || isBetter(connection, best)) best = connection
    }
    return best ? Promise.resolve(best) : this.home()
  }

  /** Whether a holder of the object is connected that is none of these. */
  hasHolder(oid: ObjectId, copies: number, except: ReadonlySet<Address>): boolean {
    return this.#holders(oid, copies).some(({ connection, address }) => connection && !except.has(address))
  }

  /** A connection to one node. Errors: unreachable, timeout. */
  to(address: Address): Promise<Connection> {
    return this.#sheepAt(address).connect()
  }

  /** The open connection to one node; undefined when there is none now. */
  openTo(address: Address): Connection | undefined {
    return this.#sheep.get(addressText(address))?.connection
  }

  /** As `to`, for a change, which a successor of this process waits for as for one through home. */
  async toChange(address: Address): Promise<Connection> {
    const connection = await this.to(address)
    this.#options.onHome(connection.peer)
    if (this.#home) this.#setHome(this.#home)
    return connection
  }

  /** False for a while after a failure of this node. */
  isWorthTrying(address: Address): boolean {
    return this.#sheepAt(address).isWorthTrying
  }

  /** Takes other addresses for the choice of home; the present home stays while it is one of them or none of them answers. */
  async reconfigure(configured: readonly Address[], waiter?: Waiter): Promise<void> {
    const isStillConfigured = configured.some((address) => this.#home && isSameAddress(address, this.#home.address))
    if (isStillConfigured) await this.#home?.verify()
    else {
      const home = await this.#find(configured, configured)
      await home.verify()
      waiter?.signal.throwIfAborted()
      this.#setHome(home)
      this.#options.onHomeLost()
    }
    this.#configured = configured
  }

  /** Where to look for the cluster, beside the configured addresses, while its nodes are not known. */
  remember(addresses: readonly Address[]): void {
    this.#remembered = addresses
  }

  /** Lets the next request choose another gateway; for one that says it is leaving. */
  leave(connection: Connection): void {
    this.#sheepAt(connection.address).holdOff()
    if (this.#home?.connection !== connection) return
    this.#home = undefined
    this.#options.onHomeLost()
  }

  /** Resolves when a lost connection's changes are over; to be asked for as soon as the loss is noticed. */
  settled(lost: Connection): Promise<void> {
    return this.#sheepAt(lost.address).settled
  }

  destroy(error: SheepfsError): void {
    this.#closed = error
    for (const sheep of this.#sheep.values()) sheep.destroy(error)
  }

  #holders(oid: ObjectId, copies: number): Sheep[] {
    const holders = this.#options.known.topology?.holders(oid, copies) ?? []
    return holders.map((address) => this.#sheepAt(address))
  }

  #sheepAt(address: Address): Sheep {
    const key = addressText(address)
    let sheep = this.#sheep.get(key)
    if (!sheep) {
      if (this.#sheep.size >= MOST_SHEEP) this.#forgetIdle()
      sheep = new Sheep(address, this.#options, (lost) => {
        if (lost === this.#home && !this.#closed) this.#options.onHomeLost()
      })
      if (this.#closed) sheep.destroy(this.#closed) // somebody was about to ask one that had not been asked before
      this.#sheep.set(key, sheep)
    }
    return sheep
  }

  /** The one that was met first of those that nothing is known of that matters. */
  #forgetIdle(): void {
    for (const [key, sheep] of this.#sheep) {
      const isNeeded = sheep === this.#home || this.#configured.some((one) => isSameAddress(one, sheep.address))
      if (isNeeded || !sheep.isIdle) continue
      this.#sheep.delete(key)
      this.#formerReconnects += sheep.reconnects
      sheep.destroy(new SheepfsError('unreachable', 'others are asked'))
      return
    }
  }

  async #chooseHome(): Promise<Connection> {
    const others = this.#options.known.topology?.addresses ?? this.#remembered
    const previous = this.#home
    const home = await this.#find(this.#configured, [...this.#configured, ...others])
    this.#setHome(home)
    if (previous && previous !== home)
      this.#options.log.info({ sheep: addressText(home.address) }, 'took another gateway')
    return home.connect()
  }

  /** The first of the candidates to answer. When none does, and one of the configured belongs to another cluster, that is ours now. */
  async #find(configured: readonly Address[], candidates: readonly Address[]): Promise<Sheep> {
    const { generation, topology } = this.#options.known
    try {
      const home = await this.#firstToAnswer(candidates)
      if (generation > 0 && !topology) await this.#learnCluster(home)
      return home
    } catch (error) {
      if (generation !== this.#options.known.generation) return this.#find(configured, candidates) // others have left it
      const other = configured.map((address) => this.#sheepAt(address)).find(({ foreign }) => foreign !== undefined)
      if (other?.foreign === undefined) throw error
      this.#leaveCluster(other, other.foreign)
      this.#configured = configured // or who looks for home meanwhile goes back
      return this.#find(configured, configured)
    }
  }

  #leaveCluster({ address }: Sheep, ctime: string): void {
    const { known, log, onLeave } = this.#options
    const sheep = addressText(address)
    log.error(
      { sheep },
      `sheep ${sheep} belongs to another cluster, or it was formatted: what is attached fails from now on`,
    )
    onLeave(this.#home?.connection?.peer)
    known.learnOther(ctime)
    this.#home = undefined
    for (const one of this.#sheep.values()) one.destroy(new SheepfsError('unreachable', 'a sheep of another cluster'))
    this.#sheep.clear()
  }

  /** Before anything is sent to another cluster than before. */
  async #learnCluster(home: Sheep): Promise<void> {
    const { known, world } = this.#options
    const connection = await home.connect()
    known.learnFormat(await loadFormat(connection))
    known.learnNodes(await loadTopology(connection, world.clock, known))
  }

  #setHome(home: Sheep): void {
    this.#home = home
    this.#options.onHome(home.connection?.peer ?? home.address)
  }

  async #firstToAnswer(addresses: readonly Address[]): Promise<Sheep> {
    if (this.#closed) throw new SheepfsError('closed', 'the cluster client is closed')
    // each is made a sheep when its turn comes: thousands would drive out one another
    const candidates = [...new Map(addresses.map((address) => [addressText(address), address])).values()]
    const worth = (address: Address): number => Number(this.#sheep.get(addressText(address))?.isWorthTrying ?? true)
    candidates.sort((a, b) => worth(b) - worth(a))
    const attempts: Promise<Sheep>[] = []
    const pending = new Set<Promise<Sheep>>()
    for (const address of candidates) {
      const sheep = this.#sheepAt(address)
      const attempt = sheep.connectKnown().then(() => sheep)
      attempts.push(attempt)
      pending.add(attempt)
      attempt.catch(() => pending.delete(attempt)) // told below
      const isLast = attempts.length === candidates.length
      const { world, timing } = this.#options
      const winner = await firstOf([...pending], isLast ? undefined : { clock: world.clock, ms: timing.headStartMs })
      if (winner) return winner
    }
    throw joined(await Promise.allSettled(attempts))
  }

  #connectAside(sheep: Sheep): void {
    if (!sheep.isWorthTrying || sheep.isConnecting) return
    sheep.connect().catch(() => {
      this.#options.log.debug(
        { sheep: addressText(sheep.address) },
        'not reachable from here; reads go through the gateway',
      )
    })
  }
}

/** As one to read from. */
function isBetter(one: Connection, other: Connection): boolean {
  if (one.isSlow !== other.isSlow) return other.isSlow
  return one.isSlow ? one.answeredAt > other.answeredAt : one.inFlight < other.inFlight
}

/** More failures than this are counted, not told. */
const TOLD_FAILURES = 5

/** Why nobody answers, in one error: of the code of the first, who is asked first again. */
function joined(outcomes: readonly PromiseSettledResult<unknown>[]): unknown {
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []))
  const [first] = failures
  if (first === undefined) return new SheepfsError('unreachable', 'no sheep is configured')
  if (failures.length === 1 || !isSheepfsError(first)) return first
  const more = failures.length > TOLD_FAILURES ? [`and ${failures.length - TOLD_FAILURES} more`] : []
  const texts = [...failures.slice(0, TOLD_FAILURES).map(errorText), ...more]
  return new SheepfsError(first.code, texts.join('; '), { cause: first })
}

/** The first attempt to succeed; undefined when all have failed, or when the limit has passed. */
function firstOf<T>(attempts: readonly Promise<T>[], limit?: { clock: Clock; ms: number }): Promise<T | undefined> {
  return new Promise((resolve) => {
    const giveUp = (): void => {
      resolve(undefined)
    }
    Promise.any(attempts).then(resolve, giveUp)
    limit?.clock.after(limit.ms, giveUp, { isBackground: true })
  })
}
