/*
 * When a mount whose worker died gets another one. A few workers that died young in a row are bad luck; more are a mount
 * that has failed.
 */

/** The longest pause before another try, ms. */
export const LONGEST_PAUSE_MS = 30_000
/** By how many died soon after their start; the last one holds from there on. */
const PAUSES_MS = [0, 0, 500, 1000, 2000, 5000, 10_000, LONGEST_PAUSE_MS] as const
/** So many workers that died young are bad luck. */
export const FEW_DEATHS = 3
/** A worker that lived this long counts as one that works. */
const STABLE_MS = 3000

/** Workers in a row that died young, when one more has died that lived so long. */
export function earlyDeaths(before: number, livedMs: number): number {
  return livedMs >= STABLE_MS ? 0 : before + 1
}

/** Before the next worker, ms. */
export function pauseAfter(deaths: number): number {
  return PAUSES_MS[Math.min(deaths, PAUSES_MS.length - 1)] ?? LONGEST_PAUSE_MS
}

/** Whether a mount whose workers died so has failed: it will not get better soon. */
export function isHopeless(deaths: number): boolean {
  return deaths > FEW_DEATHS
}
