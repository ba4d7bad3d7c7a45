/** What is measured of one kind of request from the kernel (`read`, `write`, `fsync`, …) since its worker started. */
export interface OperationCounts {
  readonly operation: string
  readonly count: number
  /** Answered with an errno. */
  readonly errors: number
  /** Read or written. */
  readonly bytes: number
  /** Not answered yet. */
  readonly inFlight: number
  /** Those of them that have had no answer for a second. */
  readonly waiting: number
  readonly latencySumS: number
  /** Requests per bucket, not cumulated; the last bucket takes what is above the last bound. */
  readonly latencyCounts: readonly number[]
}

/** Requests that are measured of each volume, besides of its mount. */
export const VOLUME_OPERATIONS = ['read', 'write', 'fsync', 'fallocate'] as const
export type VolumeOperation = (typeof VOLUME_OPERATIONS)[number]
