import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { OperationCounts } from '../operation-counts.ts'
import { LATENCY_BOUNDS_S, type MountMetrics } from './mount-metrics.ts'
import { MountState } from './schema/mount.ts'

/** The content-type of `renderMetrics`. */
export const METRICS_TYPE = Registry.PROMETHEUS_CONTENT_TYPE

interface Row<T> {
  readonly name: string
  readonly help: string
  readonly value: (measured: T) => number
}

const MOUNT_GAUGES: readonly Row<MountMetrics>[] = [
  { name: 'volumes', help: 'Attached volumes', value: (m) => m.volumes },
  { name: 'open_files', help: 'Open files', value: (m) => m.openFiles },
  { name: 'page_cache', help: '1 while files are opened with the page cache', value: (m) => Number(m.pageCache) },
  { name: 'object_cache', help: "1 while the cluster's object cache is used", value: (m) => Number(m.objectCache) },
  { name: 'cluster_requests_in_flight', help: 'Requests to sheep without an answer', value: (m) => m.sheepInFlight },
  {
    name: 'waiting_since_timestamp_seconds',
    help: 'Since when requests wait for the cluster, or the worker does not answer; 0 when neither',
    value: (m) => (m.waitingSinceMs ?? 0) / 1000,
  },
  { name: 'waiting_requests', help: 'Requests that wait for the cluster', value: (m) => m.waitingRequests },
  { name: 'worker_memory_bytes', help: 'Resident memory of the worker', value: (m) => m.workerMemory },
]

const MOUNT_COUNTERS: readonly Row<MountMetrics>[] = [
  { name: 'reconnects_total', help: 'Connections made again after a loss', value: (m) => m.reconnects },
  { name: 'retries_total', help: 'Requests to sheep sent again', value: (m) => m.retries },
  {
    name: 'resent_requests_total',
    help: 'Requests that the kernel sent again to a new worker',
    value: (m) => m.resentRequests,
  },
  { name: 'worker_restarts_total', help: 'Workers that were replaced', value: (m) => m.workerRestarts },
]

const OPERATION_COUNTERS: readonly Row<OperationCounts>[] = [
  { name: 'requests_total', help: 'Requests of the kernel that were answered', value: (o) => o.count },
  { name: 'request_errors_total', help: 'Requests of the kernel answered with an error', value: (o) => o.errors },
  { name: 'request_bytes_total', help: 'Bytes read and written', value: (o) => o.bytes },
]

/** The text that Prometheus scrapes; `version` is that of the supervisor. */
export async function renderMetrics(mounts: readonly MountMetrics[], version: string): Promise<string> {
  const registers = [new Registry()]
  addBuilds(mounts, version, registers)
  for (const { name, help, value } of MOUNT_GAUGES) {
    const gauge = new Gauge({ name: `sheepfs_${name}`, help, labelNames: ['mount'], registers })
    for (const mount of mounts) gauge.set({ mount: mount.mount }, value(mount))
  }
  for (const { name, help, value } of MOUNT_COUNTERS) {
    const counter = new Counter({ name: `sheepfs_${name}`, help, labelNames: ['mount'], registers })
    for (const mount of mounts) counter.inc({ mount: mount.mount }, value(mount))
  }
  addStates(mounts, registers)
  addOperations(mounts, registers)
  const texts = await Promise.all(registers.map((registry) => registry.metrics()))
  return texts.join('')
}

/** An upgrade gives mounts new workers, and the supervisor goes on as it is until it is restarted. */
function addBuilds(mounts: readonly MountMetrics[], version: string, registers: Registry[]): void {
  const help = 'Always 1: the versions of the supervisor (mount "") and of the workers'
  const labelNames = ['process', 'mount', 'version', 'node']
  const gauge = new Gauge({ name: 'sheepfs_build_info', help, labelNames, registers })
  const node = process.versions.node
  gauge.set({ process: 'supervisor', mount: '', version, node }, 1)
  for (const { mount, workerVersion } of mounts) {
    if (workerVersion !== undefined) gauge.set({ process: 'worker', mount, version: workerVersion, node }, 1)
  }
}

/** One series per state, 1 for the present one, so that a graph shows how long each lasted. */
function addStates(mounts: readonly MountMetrics[], registers: Registry[]): void {
  const help = '1 for the state that the mount is in'
  const gauge = new Gauge({ name: 'sheepfs_mount_state', help, labelNames: ['mount', 'state'], registers })
  for (const { mount, state: present } of mounts) {
    for (const state of MountState.enum) gauge.set({ mount, state }, Number(state === present))
  }
}

function addOperations(mounts: readonly MountMetrics[], registers: Registry[]): void {
  const labelNames = ['mount', 'operation']
  const measured = mounts.flatMap(({ mount, operations }) =>
    operations.map((metrics) => ({ labels: { mount, operation: metrics.operation }, metrics })),
  )
  for (const { name, help, value } of OPERATION_COUNTERS) {
    const counter = new Counter({ name: `sheepfs_${name}`, help, labelNames, registers })
    for (const { labels, metrics } of measured) counter.inc(labels, value(metrics))
  }
  const help = 'Requests of the kernel that are being served'
  const gauge = new Gauge({ name: 'sheepfs_requests_in_flight', help, labelNames, registers })
  for (const { labels, metrics } of measured) gauge.set(labels, metrics.inFlight)
  registers[0]?.registerMetric(new LatencyHistogram(measured))
}

type MeasuredOperation = Readonly<{ labels: { mount: string; operation: string }; metrics: OperationCounts }>

const LATENCY = { name: 'sheepfs_request_duration_seconds', help: 'How long requests of the kernel took' }

/** A histogram whose buckets were counted elsewhere: prom-client's own can only observe one value at a time. */
class LatencyHistogram extends Histogram<'mount' | 'operation'> {
  readonly #measured: readonly MeasuredOperation[]

  constructor(measured: readonly MeasuredOperation[]) {
    super({ ...LATENCY, labelNames: ['mount', 'operation'], registers: [] })
    this.#measured = measured
  }

  /** What the registry calls of a Histogram, though prom-client's types do not tell. */
  getForPromString() {
    return Promise.resolve({ ...LATENCY, type: 'histogram', values: this.#measured.flatMap(histogramValues) })
  }
}

function histogramValues({ labels, metrics }: MeasuredOperation) {
  const { name } = LATENCY
  let cumulated = 0
  const buckets = [...LATENCY_BOUNDS_S, '+Inf' as const].map((le, i) => {
    cumulated += metrics.latencyCounts[i] ?? 0
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: cumulated }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: metrics.latencySumS },
    { metricName: `${name}_count`, labels, value: cumulated },
  ]
}
