import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Meter } from '../../src/fuse/meter.ts'

test('a meter counts what has ended, and what is in flight apart', () => {
  const meter = new Meter([0.001, 1000])
  const reads = meter.operation('READ')
  const since = reads.begin()
  reads.begin()
  reads.end(since, 4096, false)
  const [counts] = meter.counts()
  assert.ok(counts)
  const { operation, count, errors, bytes, inFlight } = counts
  assert.deepEqual(
    { operation, count, errors, bytes, inFlight },
    {
      operation: 'read',
      count: 1,
      errors: 0,
      bytes: 4096,
      inFlight: 1,
    },
  )
})

test('a meter sorts a request into the first bucket that its latency does not exceed', () => {
  const meter = new Meter([10, 1000])
  const writes = meter.operation('WRITE')
  const now = writes.begin()
  writes.begin()
  writes.begin()
  writes.end(now, 0, false)
  writes.end(now - 20_000, 0, true)
  writes.end(now - 2_000_000, 0, false)
  const [counts] = meter.counts()
  assert.deepEqual(counts?.latencyCounts, [1, 1, 1])
  assert.equal(counts.errors, 1)
  assert.ok(counts.latencySumS >= 2020)
})

test('a meter gives out one meter per operation, and snapshots that do not change', () => {
  const meter = new Meter([1])
  assert.equal(meter.operation('FLUSH'), meter.operation('FLUSH'))
  const before = meter.counts()
  meter.operation('FLUSH').end(meter.operation('FLUSH').begin(), 0, false)
  assert.deepEqual(before[0]?.latencyCounts, [0, 0])
})
