import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Meter } from '../../src/fuse/meter.ts'

const NODE = 1024

test('a meter counts what has ended, and what is in flight apart', () => {
  const meter = new Meter([0.001, 1000])
  const first = meter.begin('READ', NODE)
  meter.begin('READ', NODE)
  meter.end(first, 4096, false)
  const [counts] = meter.mountCounts()
  assert.ok(counts)
  const { operation, count, errors, bytes, inFlight, waiting } = counts
  assert.deepEqual(
    { operation, count, errors, bytes, inFlight, waiting },
    { operation: 'read', count: 1, errors: 0, bytes: 4096, inFlight: 1, waiting: 0 },
  )
})

test('a meter sorts a request into the first bucket that its latency does not exceed', (t) => {
  let now = 5000
  t.mock.method(performance, 'now', () => now)
  const meter = new Meter([10, 1000])
  const [one, two, three] = [meter.begin('WRITE', NODE), meter.begin('WRITE', NODE), meter.begin('WRITE', NODE)]
  meter.end(one, 0, false)
  now += 20_000
  meter.end(two, 0, true)
  now += 1_980_000
  meter.end(three, 0, false)
  const [counts] = meter.mountCounts()
  assert.deepEqual(counts?.latencyCounts, [1, 1, 1])
  assert.equal(counts.errors, 1)
  assert.equal(counts.latencySumS, 2020)
})

test('a request that has no answer for a second waits', (t) => {
  let now = 5000
  t.mock.method(performance, 'now', () => now)
  const meter = new Meter([1])
  meter.addVolume(NODE)
  const first = meter.begin('READ', NODE)
  now += 999
  meter.begin('READ', NODE)
  const waiting = () => [...meter.volumeCounts().values(), meter.mountCounts()].map((of) => of[0]?.waiting)
  assert.deepEqual(waiting(), [0, 0])
  now += 1
  assert.deepEqual(waiting(), [1, 1])
  now += 1000
  assert.deepEqual(waiting(), [2, 2])
  meter.end(first, 0, false)
  assert.deepEqual(waiting(), [1, 1])
})

test('what is for a volume is counted for it and for the mount, each volume apart', () => {
  const meter = new Meter([1])
  meter.addVolume(NODE)
  meter.addVolume(NODE + 1)
  meter.end(meter.begin('READ', NODE), 512, false)
  meter.end(meter.begin('WRITE', NODE + 1), 1024, true)
  meter.end(meter.begin('GETATTR', NODE), 0, false)
  const [mount, volumes] = [meter.mountCounts(), meter.volumeCounts()]
  assert.deepEqual(
    mount.map(({ operation, count }) => [operation, count]),
    [
      ['read', 1],
      ['write', 1],
      ['getattr', 1],
    ],
  )
  const brief = (node: number) => volumes.get(node)?.map(({ operation, bytes, errors }) => [operation, bytes, errors])
  assert.deepEqual(brief(NODE), [['read', 512, 0]])
  assert.deepEqual(brief(NODE + 1), [['write', 1024, 1]])
})

test('a meter keeps nothing of a volume that was removed, nor of what was never one', () => {
  const meter = new Meter([1])
  meter.addVolume(NODE)
  const pending = meter.begin('READ', NODE)
  meter.removeVolume(NODE)
  meter.end(pending, 512, false)
  meter.end(meter.begin('READ', NODE + 7), 512, false)
  const [mount, volumes] = [meter.mountCounts(), meter.volumeCounts()]
  assert.equal(volumes.size, 0)
  assert.equal(mount[0]?.count, 2)
  assert.equal(mount[0].inFlight, 0)
})

test('counts that were given out do not change any more', () => {
  const meter = new Meter([1])
  meter.end(meter.begin('FLUSH', NODE), 0, false)
  const mount = meter.mountCounts()
  meter.end(meter.begin('FLUSH', NODE), 0, false)
  assert.deepEqual(mount[0]?.latencyCounts, [1, 0])
})
