import { isSheepfsError, type ErrorCode, type SheepfsError } from '../errors.ts'
import type { Message, Response } from '../wire/message.ts'
import type { Address } from './address.ts'
import type { ClusterWatch } from './cluster-watch.ts'
import type { Connection } from './connection.ts'
import type { Gateways } from './gateways.ts'
import type { KnownCluster } from './known-cluster.ts'
import type { ObjectCache } from './object-cache.ts'
import type { MeantOptions } from './requests.ts'
import { isGatewayLeaving, isTransient, isUndecided, resultError } from './result-error.ts'

/** How one try of a request ended. */
export type Try =
  | {
      readonly response: Response
      /** The latest epoch in which the sheep had answered before. */
      readonly sentIn: number
      readonly failure?: never
      readonly slow?: never
      readonly lost?: never
      readonly isUndecided?: never
    }
  | {
      readonly response?: never
      readonly sentIn?: never
      readonly failure: SheepfsError
      /** After a loss: resolves when the gateway is done with what it was sent. */
      readonly lost?: Promise<void>
      /** It may have been executed. */
      readonly isUndecided?: boolean
      /** The sheep, which may answer yet; another holder can be asked meanwhile. */
      readonly slow?: Address
    }

/** Failures of a connection, not of the request. */
const OUTLIVABLE = new Set<ErrorCode>(['unreachable', 'timeout', 'protocol'])

interface DeliveryOptions {
  readonly known: KnownCluster
  readonly gateways: Gateways
  readonly watch: ClusterWatch
  readonly cache: ObjectCache
}

/** Delivers requests, one try each. What no other try could mend rejects: closed. */
export class Delivery {
  readonly #options: DeliveryOptions
  #isClosed = false

  constructor(options: DeliveryOptions) {
    this.#options = options
  }

  /** To a holder of the object that is none of `except`, when `copies` are known, and to nobody else than home when they are not. */
  read(message: Message, options: MeantOptions, except?: ReadonlySet<Address>): Promise<Try> {
    const { at, copies, caller } = options
    const { gateways, cache } = this.#options
    return this.#try(message, { ...options, isReplaceable: copies !== undefined }, () => {
      if (at) return gateways.to(at)
      const { oid } = message
      if (oid && copies !== undefined && !cache.isOn) return gateways.near(oid, copies, except)
      return caller ? caller.connect() : gateways.home()
    })
  }

  /** To home, unless `at` says otherwise. */
  change(message: Message, options: MeantOptions): Promise<Try> {
    const { at, caller } = options
    const { gateways } = this.#options
    return this.#try(message, options, () => {
      if (caller) return caller.connectForChange()
      return at ? gateways.toChange(at) : gateways.home()
    })
  }

  /** Failures are believed from now on. */
  close(): void {
    this.#isClosed = true
  }

  #try(
    message: Message,
    { into, generation, isReplaceable = false }: MeantOptions & { readonly isReplaceable?: boolean },
    connect: () => Promise<Connection>,
  ): Promise<Try> {
    const { known, gateways, watch, cache } = this.#options
    return cache.pass(message, async () => {
      let connection: Connection | undefined
      try {
        connection = await connect()
        if (generation !== undefined) known.check(generation)
        const sentIn = connection.epoch
        const response = await connection.exchange(message, into, { isReplaceable })
        watch.notice(response.epoch)
        if (!isTransient(response.result)) return { response, sentIn }
        if (isGatewayLeaving(response.result)) gateways.leave(connection)
        return { failure: resultError(response.result, 'request'), isUndecided: isUndecided(response.result) }
      } catch (error) {
        if (this.#isClosed || !isSheepfsError(error) || !OUTLIVABLE.has(error.code)) throw error
        if (!connection) return { failure: error }
        if (!connection.closed) return { failure: error, slow: connection.address }
        watch.doubtNodes()
        return { failure: error, lost: gateways.settled(connection), isUndecided: true }
      }
    })
  }
}
