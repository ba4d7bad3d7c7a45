import { setTimeout as pause } from 'node:timers/promises'

/** Waits for a state that no event tells of; the limit is that of the test. */
export async function until(isReached: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isReached())) await pause(1)
}
