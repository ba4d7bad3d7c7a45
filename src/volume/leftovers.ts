import { setTimeout as pause } from 'node:timers/promises'
import type { VolumeCore } from './volume-core.ts'

const FIRST_PAUSE_MS = 1_000
const LAST_PAUSE_MS = 60_000

/**
 * Sheep removes what was discarded after the discard was answered, also when its client has gone meanwhile, and whoever
 * attaches the VDI next cannot know of it. Until the cluster was seen idle once, objects are looked at before they are
 * created.
 */
export async function watchLeftovers(core: VolumeCore): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; core.mayHaveLeftovers; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
    if (await core.cluster.isIdle()) forgetLeftovers(core)
    else await pause(pauseMs, undefined, { ref: false })
  }
}

/** What is there now stays, or was given back by this volume. */
export function forgetLeftovers(core: VolumeCore): void {
  core.mayHaveLeftovers = false
  for (const index of core.suspects) core.removing.delete(index)
  core.suspects.clear()
}
