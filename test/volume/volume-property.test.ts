import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { inspect } from 'node:util'
import { runSchedule } from './schedule.ts'

/** One schedule takes about a second, on a starved machine more; longer means that something waits for ever. */
const SCHEDULE_LIMIT_MS = 120_000
/** They mostly wait. */
const PARALLEL_SCHEDULES = 8
const DEFAULT_SECONDS = process.env['CI'] === undefined ? 8 : 60

const { SHEEPFS_SEED: seed, SHEEPFS_SCHEDULES: schedules, SHEEPFS_SECONDS: seconds } = process.env
const limitMs = 1000 * Number(seconds ?? DEFAULT_SECONDS)

async function runNamed(named: number): Promise<void> {
  const hang = new AbortController()
  const limit = pause(SCHEDULE_LIMIT_MS, undefined, { signal: hang.signal }).then(() => {
    throw new Error('it does not end')
  })
  try {
    await Promise.race([runSchedule(named), limit])
  } catch (cause) {
    throw new Error(`schedule failed (${inspect(cause)}); to see it again: SHEEPFS_SEED=${named}`, { cause })
  } finally {
    limit.catch(() => undefined)
    hang.abort()
  }
}

/**
 * SHEEPFS_SEED=n replays one schedule; SHEEPFS_SCHEDULES=n runs so many, SHEEPFS_SECONDS=s as many as fit (a minute in
 * continuous integration).
 */
test('every acknowledged byte is there, whatever schedule and faults', { timeout: 3_600_000 }, async (context) => {
  if (seed !== undefined) {
    await runNamed(Number(seed))
    return
  }
  const first = Math.floor(Math.random() * 2 ** 31)
  const until = performance.now() + limitMs
  let done = 0
  const isMore = (): boolean => (schedules === undefined ? performance.now() < until : done < Number(schedules))
  const worker = async (): Promise<void> => {
    while (isMore()) await runNamed(first + done++)
  }
  await Promise.all(Array.from({ length: PARALLEL_SCHEDULES }, worker))
  context.diagnostic(`${done} schedules, from seed ${first} on`)
})
