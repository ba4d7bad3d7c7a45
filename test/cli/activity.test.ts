import assert from 'node:assert/strict'
import { test } from 'node:test'
import { presentCounters } from '../../src/api/present-counters.ts'
import type { MountMetrics } from '../../src/api/mount-metrics.ts'
import { ActivityWatch } from '../../src/cli/activity.ts'
import { latencyQuantile } from '../../src/cli/latency-quantile.ts'
import { fakeCounts, fakeMetrics, fakeVolumeMetrics, latencyCounts } from '../api/fake-metrics.ts'

const reads = (count: number, rest: Partial<ReturnType<typeof fakeCounts>> = {}) =>
  fakeCounts('read', { count, bytes: count * 4096, latencyCounts: latencyCounts(0.0001, count), ...rest })

/** What is told of the only mount, look after look. */
function looks(...measured: readonly Partial<MountMetrics>[]) {
  const watch = new ActivityWatch()
  return measured.map((metrics) => {
    const [activity] = watch.look(presentCounters([fakeMetrics(metrics)]))
    assert.ok(activity)
    return activity
  })
}

test('the first look has nothing to compare with', () => {
  const [first] = looks({ operations: [reads(100, { inFlight: 3, waiting: 2 })] })
  assert.deepEqual([first?.seconds, first?.read.per_second, first?.read.latency_p50], [null, 0, null])
  assert.deepEqual([first?.in_flight, first?.waiting], [3, 2])
})

test('what went on is what was counted since, by the time of the worker', () => {
  const writes = fakeCounts('write', { count: 10, errors: 5, latencyCounts: latencyCounts(0.01, 10) })
  const [, second] = looks(
    { measuredAtS: 10, operations: [reads(100)] },
    { measuredAtS: 12, operations: [reads(190), writes] },
  )
  assert.ok(second)
  assert.equal(second.seconds, 2)
  assert.deepEqual([second.read.per_second, second.read.bytes_per_second], [45, 45 * 4096])
  assert.deepEqual([second.write.per_second, second.write.errors_per_second], [5, 2.5])
  assert.ok((second.read.latency_p99 ?? 1) <= 0.0001)
  assert.ok((second.write.latency_p50 ?? 0) > 0.005)
  assert.ok((second.latency_p50 ?? 1) <= 0.0001, 'most are reads')
  assert.ok((second.latency_p99 ?? 0) > 0.005, 'the slowest are writes')
})

test('who is given the same counters again is told the same again, and misses nothing', () => {
  const [, second, again, third] = looks(
    { measuredAtS: 10, operations: [reads(100)] },
    { measuredAtS: 12, operations: [reads(200)] },
    { measuredAtS: 12, operations: [reads(200)] },
    { measuredAtS: 14, operations: [reads(500)] },
  )
  assert.deepEqual(again, second)
  assert.equal(third?.read.per_second, 150)
})

test('a new worker has done what it has counted since its beginning', () => {
  const [, second] = looks(
    { measuredAtS: 1000, operations: [reads(1_000_000)] },
    { measuredAtS: 4, operations: [reads(100)], workerRestarts: 1 },
  )
  assert.deepEqual([second?.seconds, second?.read.per_second], [4, 25])
})

test('while a worker does not answer nothing is known, and afterwards all of the time between', () => {
  const [, silent, third] = looks(
    { measuredAtS: 10, operations: [reads(100)] },
    { measuredAtS: 0, operations: [], state: 'waiting', waitingSinceMs: 1_700_000_000_000 },
    { measuredAtS: 20, operations: [reads(200)] },
  )
  assert.deepEqual([silent?.seconds, silent?.state], [null, 'waiting'])
  assert.equal(silent?.waiting_since, '2023-11-14T22:13:20.000Z')
  assert.deepEqual([third?.seconds, third?.read.per_second], [10, 10])
})

test('volumes are told apart, those that wait and the busiest first', () => {
  const volume = (name: string, count: number, measuredAtS: number, waiting = 0) =>
    fakeVolumeMetrics({ volume: name, measuredAtS, operations: [reads(count, { waiting })] })
  const [, second] = looks(
    { perVolume: [volume('a', 5, 10), volume('b', 5, 10), volume('c', 5, 10)] },
    { measuredAtS: 11, perVolume: [volume('a', 6, 11), volume('b', 25, 11), volume('c', 5, 11, 1)] },
  )
  assert.deepEqual(
    second?.volumes.map(({ volume, read, waiting }) => [volume, read.per_second, waiting]),
    [
      ['c', 0, 1],
      ['b', 20, 0],
      ['a', 1, 0],
    ],
  )
})

test('a volume that was attached since, also again, has done all that it has counted', () => {
  const [, second] = looks(
    { perVolume: [fakeVolumeMetrics({ volume: 'a', operations: [reads(1000)] })] },
    {
      measuredAtS: 12,
      perVolume: ['a', 'new'].map((volume) => fakeVolumeMetrics({ volume, measuredAtS: 12, operations: [reads(10)] })),
    },
  )
  assert.deepEqual(
    second?.volumes.map(({ read }) => read.per_second),
    [5, 5],
  )
})

test('a mount that has gone is not told of, and one that comes again begins anew', () => {
  const watch = new ActivityWatch()
  watch.look(presentCounters([fakeMetrics({ operations: [reads(100)] })]))
  assert.deepEqual(watch.look(presentCounters([])), [])
  const [again] = watch.look(presentCounters([fakeMetrics({ measuredAtS: 20, operations: [reads(100)] })]))
  assert.equal(again?.seconds, null)
})

test('a quantile lies within the bucket that it falls into', () => {
  const bounds = [1, 2, 4]
  assert.equal(latencyQuantile(0.5, [0, 0, 0, 0], bounds), null)
  assert.equal(latencyQuantile(0.5, [0, 10, 0, 0], bounds), 1.5)
  assert.equal(latencyQuantile(0.99, [98, 0, 2, 0], bounds), 3)
  assert.equal(latencyQuantile(0.5, [10, 10, 0, 0], bounds), 1)
  assert.equal(latencyQuantile(0.99, [0, 0, 0, 5], bounds), 4, 'above the last bound it is not known how far')
})
