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
  readonly latencySumS: number
  /** Requests per bucket, not cumulated; the last bucket takes what is above the last bound. */
  readonly latencyCounts: readonly number[]
}
