import type { Workload } from './workload.ts'

/** How one run of a load went. */
export interface Outcome {
  /** In the workload's unit; what failed does not count. */
  readonly speed: number
  /** Requests that failed. */
  readonly failures: number
}

/** Something that is measured. */
export interface Target {
  readonly label: string
  /** Runs a load once, on data that is there already. */
  measure(workload: Workload): Promise<Outcome>
  /** Most memory it ever took, in bytes; undefined when it is not a process of the bench. */
  peakMemory(): Promise<number | undefined>
}
