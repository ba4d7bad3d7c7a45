import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RestartPolicy } from '../../src/daemon/supervisor/restart-policy.ts'

const YOUNG_MS = 100
const OLD_MS = 60_000

test('a worker that dies once is replaced at once, one that dies again and again after longer and longer pauses', () => {
  const policy = new RestartPolicy()
  const pauses = Array.from({ length: 9 }, () => {
    policy.noteDeath(YOUNG_MS)
    return policy.pauseMs
  })
  assert.equal(pauses[0], 0)
  assert.deepEqual(
    pauses,
    pauses.toSorted((a, b) => a - b),
  )
  assert.equal(pauses.at(-1), policy.longestPauseMs)
})

test('a mount has failed when its workers died young more than a few times in a row', () => {
  const policy = new RestartPolicy()
  for (let i = 0; i < 3; i++) policy.noteDeath(YOUNG_MS)
  assert.equal(policy.isHopeless, false)
  policy.noteDeath(YOUNG_MS)
  assert.equal(policy.isHopeless, true)
})

test('a worker that lived long, and one that was told to end, make good what was before', () => {
  const policy = new RestartPolicy()
  for (const redeem of [policy.noteDeath.bind(policy, OLD_MS), policy.forget.bind(policy)]) {
    for (let i = 0; i < 5; i++) policy.noteDeath(YOUNG_MS)
    redeem()
    assert.deepEqual([policy.pauseMs, policy.isHopeless], [0, false])
  }
})
