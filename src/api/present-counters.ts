import type { OperationCounts } from '../operation-counts.ts'
import { LATENCY_BOUNDS_S, type MountMetrics, type VolumeMetrics } from './mount-metrics.ts'
import type { Counters, MountCounters, OperationCounters, VolumeCounters } from './schema/counters.ts'

/** What is measured, in the words of the control API. */
export function presentCounters(mounts: readonly MountMetrics[]): Counters {
  return { latency_bounds: [...LATENCY_BOUNDS_S], mounts: mounts.map(mountCounters) }
}

function mountCounters(metrics: MountMetrics): MountCounters {
  const { waitingSinceMs } = metrics
  return {
    name: metrics.mount,
    state: metrics.state,
    waiting_since: waitingSinceMs === undefined ? null : new Date(waitingSinceMs).toISOString(),
    worker_restarts: metrics.workerRestarts,
    measured_at: metrics.measuredAtS,
    page_cache: metrics.pageCache,
    object_cache: metrics.objectCache,
    write_back: metrics.writeBack,
    operations: metrics.operations.map(operationCounters),
    volumes: metrics.perVolume.map(volumeCounters),
  }
}

function volumeCounters(metrics: VolumeMetrics): VolumeCounters {
  return {
    volume: metrics.volume,
    measured_at: metrics.measuredAtS,
    open_direct: metrics.openDirect,
    open_cached: metrics.openCached,
    locked: metrics.isLocked,
    stale: metrics.isStale,
    operations: metrics.operations.map(operationCounters),
  }
}

function operationCounters(counts: OperationCounts): OperationCounters {
  return {
    operation: counts.operation,
    count: counts.count,
    errors: counts.errors,
    bytes: counts.bytes,
    in_flight: counts.inFlight,
    waiting: counts.waiting,
    latency_sum: counts.latencySumS,
    latency_counts: [...counts.latencyCounts],
  }
}
