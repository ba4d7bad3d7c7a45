import { LATENCY_BOUNDS_S, type MountMetrics, type VolumeMetrics } from '../../src/api/mount-metrics.ts'
import type { OperationCounts } from '../../src/operation-counts.ts'

/** As many requests in the bucket up to `boundS`. */
export function latencyCounts(boundS: number, count: number): number[] {
  return [...LATENCY_BOUNDS_S, Infinity].map((bound) => (bound === boundS ? count : 0))
}

/** What is counted of an operation, as a test wants it. */
export function fakeCounts(operation: string, overrides: Partial<OperationCounts> = {}): OperationCounts {
  const none = { count: 0, errors: 0, bytes: 0, inFlight: 0, waiting: 0, latencySumS: 0 }
  return { operation, ...none, latencyCounts: latencyCounts(0, 0), ...overrides }
}

/** What is measured of a volume, as a test wants it. */
export function fakeVolumeMetrics(overrides: Partial<VolumeMetrics> = {}): VolumeMetrics {
  return {
    ...{ volume: 'web01', measuredAtS: 10, operations: [], openDirect: 0, openCached: 0, size: 4 * 2 ** 30 },
    ...{ isLocked: true, isStale: false, ...overrides },
  }
}

/** What is measured of a mount, as a test wants it. */
export function fakeMetrics(overrides: Partial<MountMetrics> = {}): MountMetrics {
  return {
    ...{ mount: 'cluster1', state: 'serving', measuredAtS: 10, operations: [], volumes: 0, perVolume: [] },
    ...{ openFiles: 0, pageCache: false, objectCache: false, writeBack: false, sheepInFlight: 0, reconnects: 0 },
    ...{ retries: 0, resentRequests: 0, workerRestarts: 0, workerVersion: '1.0.0', waitingRequests: 0 },
    ...{ workerMemory: 64_000_000, ...overrides },
  }
}
