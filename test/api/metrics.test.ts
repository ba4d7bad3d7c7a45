import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderMetrics } from '../../src/api/metrics.ts'
import { LATENCY_BOUNDS_S, type MountMetrics, type VolumeMetrics } from '../../src/api/mount-metrics.ts'

const latencyCounts = [3, 2, ...LATENCY_BOUNDS_S.slice(2).map(() => 0), 1]
const read = { operation: 'read', count: 6, errors: 1, bytes: 4096, inFlight: 2, waiting: 1 }
const volume: VolumeMetrics = {
  volume: 'db/1@daily',
  measuredAtS: 12.5,
  operations: [{ ...read, latencySumS: 61.5, latencyCounts }],
  openDirect: 1,
  openCached: 2,
  size: 1_048_576,
  isLocked: true,
  isStale: false,
}
const mount: MountMetrics = {
  mount: 'cluster1',
  state: 'waiting',
  operations: [
    { ...read, latencySumS: 61.5, latencyCounts },
    { operation: 'write', count: 0, errors: 0, bytes: 0, inFlight: 0, waiting: 0, latencySumS: 0, latencyCounts: [] },
  ],
  measuredAtS: 12.5,
  volumes: 2,
  perVolume: [volume],
  openFiles: 3,
  pageCache: true,
  objectCache: false,
  writeBack: true,
  sheepInFlight: 4,
  reconnects: 5,
  retries: 6,
  resentRequests: 7,
  workerVersion: '1.0.1',
  workerRestarts: 8,
  waitingSinceMs: 1_700_000_000_500,
  waitingRequests: 9,
  clusterSpace: { total: 3000, free: 1000 },
  workerMemory: 64_000_000,
}

test('everything measured of a mount is in the text that Prometheus reads', async () => {
  const lines = (
    await renderMetrics(
      [mount, { ...mount, mount: 'two', waitingSinceMs: undefined, clusterSpace: undefined }],
      '1.0.0',
    )
  ).split('\n')
  for (const line of [
    'sheepfs_mount_state{mount="cluster1",state="waiting"} 1',
    'sheepfs_mount_state{mount="cluster1",state="serving"} 0',
    'sheepfs_requests_total{mount="cluster1",operation="read"} 6',
    'sheepfs_request_errors_total{mount="cluster1",operation="read"} 1',
    'sheepfs_request_bytes_total{mount="cluster1",operation="read"} 4096',
    'sheepfs_requests_in_flight{mount="cluster1",operation="read"} 2',
    'sheepfs_volumes{mount="cluster1"} 2',
    'sheepfs_volume_requests_total{mount="cluster1",volume="db/1@daily",operation="read"} 6',
    'sheepfs_volume_request_errors_total{mount="cluster1",volume="db/1@daily",operation="read"} 1',
    'sheepfs_volume_request_bytes_total{mount="cluster1",volume="db/1@daily",operation="read"} 4096',
    'sheepfs_volume_requests_in_flight{mount="cluster1",volume="db/1@daily",operation="read"} 2',
    'sheepfs_volume_requests_waiting{mount="cluster1",volume="db/1@daily",operation="read"} 1',
    'sheepfs_volume_open_files{mount="cluster1",volume="db/1@daily",caching="direct"} 1',
    'sheepfs_volume_open_files{mount="cluster1",volume="db/1@daily",caching="cached"} 2',
    'sheepfs_volume_size_bytes{mount="cluster1",volume="db/1@daily"} 1048576',
    'sheepfs_volume_locked{mount="cluster1",volume="db/1@daily"} 1',
    'sheepfs_volume_stale{mount="cluster1",volume="db/1@daily"} 0',
    'sheepfs_open_files{mount="cluster1"} 3',
    'sheepfs_page_cache{mount="cluster1"} 1',
    'sheepfs_object_cache{mount="cluster1"} 0',
    'sheepfs_write_back{mount="cluster1"} 1',
    'sheepfs_cluster_requests_in_flight{mount="cluster1"} 4',
    'sheepfs_reconnects_total{mount="cluster1"} 5',
    'sheepfs_retries_total{mount="cluster1"} 6',
    'sheepfs_resent_requests_total{mount="cluster1"} 7',
    'sheepfs_worker_restarts_total{mount="cluster1"} 8',
    'sheepfs_waiting_requests{mount="cluster1"} 9',
    'sheepfs_cluster_size_bytes{mount="cluster1"} 3000',
    'sheepfs_cluster_free_bytes{mount="cluster1"} 1000',
    'sheepfs_waiting_since_timestamp_seconds{mount="cluster1"} 1700000000.5',
    'sheepfs_waiting_since_timestamp_seconds{mount="two"} 0',
    'sheepfs_worker_memory_bytes{mount="cluster1"} 64000000',
    `sheepfs_build_info{process="supervisor",mount="",version="1.0.0",node="${process.versions.node}"} 1`,
    `sheepfs_build_info{process="worker",mount="cluster1",version="1.0.1",node="${process.versions.node}"} 1`,
  ]) {
    assert.ok(lines.includes(line), line)
  }
  assert.ok(!lines.some((line) => line.startsWith('sheepfs_cluster_free_bytes{mount="two"}')), 'it is not known')
})

test('latencies are a cumulated histogram', async () => {
  const lines = (await renderMetrics([mount], '1.0.0')).split('\n')
  const series = (suffix: string, labels: string) =>
    lines.find((line) => line.startsWith(`sheepfs_request_duration_seconds_${suffix}{`) && line.includes(labels))
  assert.match(series('bucket', 'le="0.00005"') ?? '', / 3$/)
  assert.match(series('bucket', 'le="0.0001"') ?? '', / 5$/)
  assert.match(series('bucket', 'le="60"') ?? '', / 5$/)
  assert.match(series('bucket', 'le="+Inf"') ?? '', / 6$/)
  assert.match(series('sum', 'operation="read"') ?? '', / 61\.5$/)
  assert.match(series('count', 'operation="read"') ?? '', / 6$/)
  assert.match(series('count', 'operation="write"') ?? '', / 0$/)
})

test('latencies of a volume tell 100 microseconds from a millisecond', async () => {
  const lines = (await renderMetrics([mount], '1.0.0')).split('\n')
  const bounds = lines.flatMap((line) => {
    const [, le] = /^sheepfs_volume_request_duration_seconds_bucket\{.*operation="read",le="([0-9.]+)"/.exec(line) ?? []
    return le === undefined ? [] : [Number(le)]
  })
  assert.deepEqual(
    bounds.filter((bound) => bound >= 0.0001 && bound <= 0.001),
    [0.0001, 0.00025, 0.0005, 0.001],
  )
})

test('without mounts there is nothing but the descriptions', async () => {
  const text = await renderMetrics([], '1.0.0')
  assert.doesNotMatch(text, /mount="[^"]/)
  assert.match(text, /# TYPE sheepfs_request_duration_seconds histogram/)
})
