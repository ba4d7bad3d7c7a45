import type { Logger } from '../log.ts'
import type { KnownCluster } from './known-cluster.ts'
import type { Outage } from './outage.ts'
import type { Timing } from './timing.ts'
import type { World } from './world.ts'

/** What all parts of one client of a cluster share. */
export interface ClientContext {
  readonly world: World
  readonly timing: Timing
  readonly known: KnownCluster
  readonly outage: Outage
  readonly log: Logger
}
