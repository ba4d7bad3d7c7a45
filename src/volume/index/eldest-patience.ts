import type { Patience } from '../../sheep/outage.ts'

/** The patience of what has begun first: what is done for several waits no longer than that one may. */
export function eldestOf(publishes: readonly { readonly patience: Patience }[]): Patience {
  return publishes
    .map(({ patience }) => patience)
    .reduce((eldest, one) => (one.startedAt < eldest.startedAt ? one : eldest))
}
