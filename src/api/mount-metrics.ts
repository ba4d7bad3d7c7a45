import type { OperationCounts } from '../operation-counts.ts'
import type { MountState } from './schema/mount.ts'

/** Upper bounds of the latency histogram's buckets, seconds; one more bucket takes what is above the last. */
export const LATENCY_BOUNDS_S = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const

/** What is measured of one attached volume. Counters start at 0 with each worker. */
export interface VolumeMetrics {
  readonly volume: string
  /** When: a monotonic time of the worker, s. */
  readonly measuredAtS: number
  /** Of the VOLUME_OPERATIONS that there were; as those of a mount. */
  readonly operations: readonly OperationCounts[]
  /** Open files that bypass the page cache. */
  readonly openDirect: number
  /** Open files that use it. */
  readonly openCached: number
  readonly size: number
  /** The lock of its VDI is held. */
  readonly isLocked: boolean
  /** Nothing can be read or written any more: its VDI was deleted or rolled back, or somebody else has its lock. */
  readonly isStale: boolean
}

/** What is measured of one mount. Counters start at 0 with each worker, except `workerRestarts`. */
export interface MountMetrics {
  readonly mount: string
  readonly state: MountState
  /** When: a monotonic time of the worker, s; 0 while there is none. */
  readonly measuredAtS: number
  /** Their latencies by LATENCY_BOUNDS_S. */
  readonly operations: readonly OperationCounts[]
  readonly volumes: number
  /** Of the attached volumes, unless there is no worker that answers. */
  readonly perVolume: readonly VolumeMetrics[]
  readonly openFiles: number
  readonly pageCache: boolean
  readonly objectCache: boolean
  /** Of the page cache, where it is on. */
  readonly writeBack: boolean
  /** Requests to the cluster that are not answered yet. */
  readonly sheepInFlight: number
  /** Connections that were made again after a loss. */
  readonly reconnects: number
  /** Requests sent again after a loss or a transient result. */
  readonly retries: number
  /** Requests that the kernel sent again to a new worker. */
  readonly resentRequests: number
  readonly workerRestarts: number
  /** Of its program; undefined while there is no worker. */
  readonly workerVersion: string | undefined
  /** Since when requests wait for the cluster, ms since 1970; undefined when none does. */
  readonly waitingSinceMs?: number | undefined
  readonly waitingRequests: number
  /** Of all nodes together, as far as they have told it; undefined until they have. */
  readonly clusterSpace?: { readonly total: number; readonly free: number } | undefined
  /** Resident memory of the worker. */
  readonly workerMemory: number
}
