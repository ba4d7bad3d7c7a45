import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { realWorld } from '../../src/daemon/real-world.ts'
import type { Clock } from '../../src/clock.ts'
import { SheepfsError } from '../../src/errors.ts'
import { deferred } from '../../src/fuse/kernel/deferred.ts'
import { Outage } from '../../src/sheep/outage.ts'
import { FAST } from './staged-cluster.ts'

test('an outage is as old as the first request that waited in it, whoever is the last', { timeout: 60_000 }, () => {
  const told: string[] = []
  let now = 0
  const clock: Clock = {
    now: () => now,
    date: () => 1000 + now,
    after: (ms, act) => realWorld.clock.after(ms, act),
    random: () => 0,
  }
  const log = pino({}, { write: (line) => void told.push((JSON.parse(line) as { msg: string }).msg) })
  const outage = new Outage({ timeoutMs: Infinity, timing: FAST, clock, log, onChange: () => undefined })
  const failure = new SheepfsError('unreachable', 'nobody there')
  const first = outage.patience()
  now = 5000
  const second = outage.patience()
  outage.join(second, failure) // the later one is heard of first
  outage.join(first, failure)
  assert.deepEqual(outage.state, { kind: 'waiting', sinceMs: 1000, reason: 'nobody there', requests: 2 })
  first.end()
  now = 9000
  assert.deepEqual(outage.state, { kind: 'waiting', sinceMs: 1000, reason: 'nobody there', requests: 1 })
  second.end()
  assert.deepEqual(told, ['waiting for the cluster: nobody there', 'the cluster answers again after 9 s'])
  now = 20_000
  const other = outage.patience()
  now = 22_000
  outage.join(other, failure)
  assert.deepEqual(outage.state, { kind: 'waiting', sinceMs: 21_000, reason: 'nobody there', requests: 1 })
})

test('an outage ends with an answer, or with the last request that gives up', { timeout: 60_000 }, async () => {
  const told: string[] = []
  const log = pino({}, { write: (line) => void told.push((JSON.parse(line) as { msg: string }).msg) })
  const outage = new Outage({ timeoutMs: 1100, timing: FAST, clock: realWorld.clock, log, onChange: () => undefined })
  const failure = new SheepfsError('unreachable', 'nobody there')
  const inVain = outage.patience()
  await assert.rejects(async () => {
    for (;;) await inVain.wait(failure)
  }, failure)
  inVain.end()
  outage.timeoutMs = Infinity
  const answered = outage.patience()
  while (outage.state.kind === 'serving') await answered.wait(failure)
  answered.end()
  assert.deepEqual(
    told.map((msg) => msg.replace(/\d+/, 'N')),
    [
      'waiting for the cluster: nobody there',
      'no request waits any more: the last failed after N s',
      'waiting for the cluster: nobody there',
      'the cluster answers again after N s',
    ],
  )
})

test(
  'something else that is waited for counts as the cluster does, and is no try again',
  { timeout: 60_000 },
  async () => {
    const told: string[] = []
    let now = 0
    const clock: Clock = {
      now: () => now,
      date: () => now,
      after: (ms, act, options) => realWorld.clock.after(ms, act, options),
      random: () => 0,
    }
    const log = pino({}, { write: (line) => void told.push((JSON.parse(line) as { msg: string }).msg) })
    const outage = new Outage({ timeoutMs: 5000, timing: FAST, clock, log, onChange: () => undefined })
    const failure = new SheepfsError('unreachable', 'others first')
    const patience = outage.patience()
    assert.equal(await patience.until(Promise.resolve(7), failure), 7)
    const others = deferred<number>()
    const asked = patience.until(others.promise, failure)
    const rest = patience.during(others.promise, failure)
    now = 2000
    while (outage.state.kind === 'serving') await new Promise(setImmediate)
    now = 5000
    await assert.rejects(asked, failure)
    others.resolve(8)
    assert.equal(await rest, 8)
    patience.end()
    assert.deepEqual(told, [
      'waiting for the cluster: others first',
      'no request waits any more: the last failed after 5 s',
    ])
    assert.equal(outage.waits, 0)
    await assert.rejects(outage.patience().until(Promise.reject(new Error('mine')), failure), /mine/)
  },
)
