import assert from 'node:assert/strict'
import { test } from 'node:test'
import { earlyDeaths, isHopeless, LONGEST_PAUSE_MS, pauseAfter } from '../../../src/daemon/mount/restart-policy.ts'

const YOUNG_MS = 100
const OLD_MS = 60_000

function afterDeaths(count: number): number {
  return Array.from({ length: count }).reduce<number>((deaths) => earlyDeaths(deaths, YOUNG_MS), 0)
}

test('a worker that dies once is replaced at once, one that dies again and again after longer and longer pauses', () => {
  const pauses = Array.from({ length: 9 }, (_, before) => pauseAfter(afterDeaths(before + 1)))
  assert.equal(pauses[0], 0)
  assert.deepEqual(
    pauses,
    pauses.toSorted((a, b) => a - b),
  )
  assert.equal(pauses.at(-1), LONGEST_PAUSE_MS)
})

test('a mount has failed when its workers died young more than a few times in a row', () => {
  assert.equal(isHopeless(afterDeaths(3)), false)
  assert.equal(isHopeless(afterDeaths(4)), true)
})

test('a worker that lived long makes good what was before', () => {
  const deaths = earlyDeaths(afterDeaths(5), OLD_MS)
  assert.deepEqual([pauseAfter(deaths), isHopeless(deaths)], [0, false])
})
