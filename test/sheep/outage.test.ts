import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { Outage } from '../../src/sheep/outage.ts'
import { FAST } from './staged-cluster.ts'

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
