import type { Logger } from '../log.ts'
import type { Address } from './address.ts'
import type { OutageState } from './outage.ts'
import type { Timing } from './timing.ts'
import type { World } from './world.ts'

/** What a client of a cluster is made with. */
export interface ClusterOptions {
  /** Tried in this order; at least one. */
  readonly addresses: readonly Address[]
  readonly log: Logger
  readonly world: World
  /** Longest wait of a request through an outage, ms. Default: for ever. */
  readonly ioTimeoutMs?: number
  /** How long to wait for what; shortened in tests. */
  readonly timing?: Timing
  /** Use the gateway's object cache, where it has one (clusters up to 0.9). */
  readonly objectCache?: boolean
  readonly onState?: (state: OutageState) => void
  /** Called with every gateway that is chosen, before anything is sent to it. */
  readonly onGateway?: (address: Address) => void
  /** Called when the addresses, the object cache or the io timeout have changed. */
  readonly onSettings?: () => void
  /** Called before a lock is asked for, and when one was given back. */
  readonly onLocks?: () => void
}
