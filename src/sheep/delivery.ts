import type { Clock } from '../clock.ts'
import { isSheepfsError, type ErrorCode, type SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Message, Response } from '../wire/message.ts'
import { SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import type { Address } from './address.ts'
import type { Connection } from './connection.ts'
import type { Gateways, Nearness } from './gateways.ts'
import type { ObjectCache } from './object-cache.ts'
import type { RecoveryGuard } from './recovery-guard.ts'
import { isGatewayLeaving, isTransient, isUndecided, resultError } from './result-error.ts'
import { loadTopology, probeCluster } from './topology-load.ts'
import type { Topology } from './topology.ts'

/** Where a request goes; home, unless it says otherwise. */
export interface Route {
  readonly near?: Nearness | undefined
  readonly at?: Address | undefined
  /** For one caller: his own connection to home. */
  readonly line?: { readonly connect: () => Promise<Connection> } | undefined
}

/** How one try of a request ended. */
export type Try =
  | {
      readonly response: Response
      /** The latest epoch in which the sheep had answered before. */
      readonly sent: number
      readonly failure?: never
      readonly lost?: never
      readonly isUndecided?: never
    }
  | {
      readonly response?: never
      readonly sent?: never
      readonly failure: SheepfsError
      /** After a loss: resolves when the gateway is done with what it was sent. */
      readonly lost?: Promise<void>
      /** It may have been executed. */
      readonly isUndecided?: boolean
    }

/** Failures of a connection, not of the request. */
const OUTLIVABLE = new Set<ErrorCode>(['unreachable', 'timeout', 'protocol'])

/** Delivers requests, one try each, and keeps what is known of the nodes up to date by what they answer. */
export class Delivery {
  readonly #clock: Clock
  readonly #gateways: Gateways
  readonly #guard: RecoveryGuard
  readonly #cache: ObjectCache
  readonly #log: Logger
  #protoVer: number = SD_SHEEP_PROTO_VERS[0]
  #flags = 0
  #topology: Topology | undefined
  #isLoadingTopology = false
  #isClosed = false

  constructor(options: {
    readonly clock: Clock
    readonly gateways: Gateways
    readonly guard: RecoveryGuard
    readonly cache: ObjectCache
    readonly log: Logger
  }) {
    this.#clock = options.clock
    this.#gateways = options.gateways
    this.#guard = options.guard
    this.#cache = options.cache
    this.#log = options.log
  }

  /** Connects and learns the version, the flags and the nodes. Errors: unreachable, timeout, not-formatted, not-supported. */
  async open(): Promise<void> {
    const connection = await this.#gateways.home()
    const { protoVer, flags } = await probeCluster(connection)
    this.#protoVer = protoVer
    this.#flags = flags
    await this.#guard.begin(await this.#loadTopology(connection))
  }

  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  get protoVer(): number {
    return this.#protoVer
  }

  /** Of the cluster, see `ClusterFlag`. */
  get flags(): number {
    return this.#flags
  }

  /** The nodes, as far as is known now. */
  get topology(): Topology | undefined {
    return this.#topology
  }

  /** One try. Rejects with what no other try could mend: closed. */
  once(message: Message, route: Route, into?: Uint8Array): Promise<Try> {
    return this.#cache.pass(message, () => this.#once(message, route, into))
  }

  /** Failures are believed from now on. */
  close(): void {
    this.#isClosed = true
  }

  async #once(message: Message, route: Route, into?: Uint8Array): Promise<Try> {
    let connection: Connection | undefined
    try {
      connection = await this.#route(route)
      const sent = connection.epoch
      const response = await connection.exchange(message, into)
      if (response.epoch !== this.#topology?.epoch) this.#noticeEpoch(response.epoch)
      if (!isTransient(response.result)) return { response, sent }
      if (isGatewayLeaving(response.result)) this.#gateways.leave(connection)
      return { failure: resultError(response.result, 'request'), isUndecided: isUndecided(response.result) }
    } catch (error) {
      if (this.#isClosed || !isSheepfsError(error) || !OUTLIVABLE.has(error.code)) throw error
      if (!connection) return { failure: error }
      return { failure: error, lost: this.#gateways.settled(connection), isUndecided: true }
    }
  }

  #route({ at, near, line }: Route): Promise<Connection> {
    if (line) return line.connect()
    if (at) return this.#gateways.to(at)
    return near && !this.#cache.isOn ? this.#gateways.near(near) : this.#gateways.home()
  }

  /** Nodes came or went: the list is asked for again, in the background; until it is there the old one does. */
  #noticeEpoch(epoch: number): void {
    this.#guard.observe(epoch)
    if (epoch <= (this.#topology?.epoch ?? 0) || this.#isLoadingTopology) return
    this.#isLoadingTopology = true
    this.#gateways
      .home()
      .then(async (connection) => {
        this.#guard.adopt(await this.#loadTopology(connection))
      })
      .catch((error: unknown) => {
        this.#log.debug({ err: error }, 'the node list could not be read; the next response will try again')
      })
      .finally(() => {
        this.#isLoadingTopology = false
      })
  }

  async #loadTopology(connection: Connection): Promise<Topology> {
    const topology = await loadTopology(connection, {
      clock: this.#clock,
      protoVer: this.#protoVer,
      flags: this.#flags,
    })
    this.#gateways.topology = topology
    this.#topology = topology
    return topology
  }
}
