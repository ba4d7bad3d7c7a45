import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { OperationCounts } from '../operation-counts.ts'
import { LATENCY_BOUNDS_S, type MountMetrics, type VolumeMetrics } from './mount-metrics.ts'
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
  { name: 'write_back', help: '1 when cached writes are held back', value: (m) => Number(m.writeBack) },
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

const VOLUME_GAUGES: readonly Row<VolumeMetrics>[] = [
  { name: 'volume_size_bytes', help: 'Size of the volume', value: (v) => v.size },
  { name: 'volume_locked', help: "1 while the lock of the volume's VDI is held", value: (v) => Number(v.isLocked) },
  {
    name: 'volume_stale',
    help: '1 when the VDI was deleted or rolled back, or somebody else has its lock: nothing is read or written',
    value: (v) => Number(v.isStale),
  },
]

const OPERATION_COUNTERS: readonly Row<OperationCounts>[] = [
  { name: 'requests_total', help: 'Requests of the kernel that were answered', value: (o) => o.count },
  { name: 'request_errors_total', help: 'Requests of the kernel answered with an error', value: (o) => o.errors },
  { name: 'request_bytes_total', help: 'Bytes read and written', value: (o) => o.bytes },
]

const IN_FLIGHT: Row<OperationCounts> = {
  name: 'requests_in_flight',
  help: 'Requests of the kernel that are being served',
  value: (o) => o.inFlight,
}
const WAITING: Row<OperationCounts> = {
  name: 'requests_waiting',
  help: 'Requests of the kernel that have had no answer for a second',
  value: (o) => o.waiting,
}

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
  addSpace(mounts, registers)
  const ofMounts = mounts.flatMap(({ mount, operations }) => measuredOperations({ mount }, operations))
  addOperations({ prefix: 'sheepfs_', labelNames: ['mount', 'operation'], gauges: [IN_FLIGHT] }, ofMounts, registers)
  addVolumes(mounts, registers)
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

/** Of volumes that are attached now: the series of one end when it is detached. */
function addVolumes(mounts: readonly MountMetrics[], registers: Registry[]): void {
  const volumes = mounts.flatMap(({ mount, perVolume }) =>
    perVolume.map((metrics) => ({ labels: { mount, volume: metrics.volume }, metrics })),
  )
  for (const { name, help, value } of VOLUME_GAUGES) {
    const gauge = new Gauge({ name: `sheepfs_${name}`, help, labelNames: ['mount', 'volume'], registers })
    for (const { labels, metrics } of volumes) gauge.set(labels, value(metrics))
  }
  const help = 'Open files of the volume, direct or cached'
  const labelNames = ['mount', 'volume', 'caching']
  const openFiles = new Gauge({ name: 'sheepfs_volume_open_files', help, labelNames, registers })
  for (const { labels, metrics } of volumes) {
    openFiles.set({ ...labels, caching: 'direct' }, metrics.openDirect)
    openFiles.set({ ...labels, caching: 'cached' }, metrics.openCached)
  }
  const measured = volumes.flatMap(({ labels, metrics }) => measuredOperations(labels, metrics.operations))
  const series = { labelNames: ['mount', 'volume', 'operation'], gauges: [IN_FLIGHT, WAITING] }
  addOperations({ prefix: 'sheepfs_volume_', ...series }, measured, registers)
}

/** Of a cluster that has not told it there is nothing: 0 would be a full one. */
function addSpace(mounts: readonly MountMetrics[], registers: Registry[]): void {
  const of = { labelNames: ['mount'], registers }
  const help = 'Space of the nodes of the cluster together; a byte of a volume takes as many as it has copies'
  const size = new Gauge({ name: 'sheepfs_cluster_size_bytes', help, ...of })
  const free = new Gauge({ name: 'sheepfs_cluster_free_bytes', help: 'How much of it is free', ...of })
  for (const { mount, clusterSpace } of mounts) {
    if (clusterSpace === undefined) continue
    size.set({ mount }, clusterSpace.total)
    free.set({ mount }, clusterSpace.free)
  }
}

interface MeasuredOperation {
  readonly labels: Readonly<Record<string, string>>
  readonly metrics: OperationCounts
}

function measuredOperations(
  of: Readonly<Record<string, string>>,
  operations: readonly OperationCounts[],
): MeasuredOperation[] {
  return operations.map((metrics) => ({ labels: { ...of, operation: metrics.operation }, metrics }))
}

interface OperationSeries {
  readonly prefix: string
  readonly labelNames: string[]
  readonly gauges: readonly Row<OperationCounts>[]
}

function addOperations(
  { prefix, labelNames, gauges }: OperationSeries,
  measured: readonly MeasuredOperation[],
  registers: Registry[],
): void {
  for (const { name, help, value } of OPERATION_COUNTERS) {
    const counter = new Counter({ name: `${prefix}${name}`, help, labelNames, registers })
    for (const { labels, metrics } of measured) counter.inc(labels, value(metrics))
  }
  for (const { name, help, value } of gauges) {
    const gauge = new Gauge({ name: `${prefix}${name}`, help, labelNames, registers })
    for (const { labels, metrics } of measured) gauge.set(labels, value(metrics))
  }
  registers[0]?.registerMetric(new LatencyHistogram(`${prefix}request_duration_seconds`, measured))
}

/** A histogram whose buckets were counted elsewhere: prom-client's own can only observe one value at a time. */
class LatencyHistogram extends Histogram {
  readonly #about: { readonly name: string; readonly help: string }
  readonly #measured: readonly MeasuredOperation[]

  constructor(name: string, measured: readonly MeasuredOperation[]) {
    const about = { name, help: 'How long requests of the kernel took' }
    super({ ...about, registers: [] })
    this.#about = about
    this.#measured = measured
  }

  /** What the registry calls of a Histogram, though prom-client's types do not tell. */
  getForPromString() {
    const { name } = this.#about
    const values = this.#measured.flatMap((measured) => histogramValues(name, measured))
    return Promise.resolve({ ...this.#about, type: 'histogram', values })
  }
}

function histogramValues(name: string, { labels, metrics }: MeasuredOperation) {
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
