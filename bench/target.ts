import { type Workload } from './workload.ts'

/** Something that is measured. */
export interface Target {
  readonly label: string
  /** Runs a load once, on data that is there already, and resolves with the speed in the workload's unit. */
  measure(workload: Workload): Promise<number>
  /** Most memory it ever took, in bytes; undefined when it is not a process of the bench. */
  peakMemory(): Promise<number | undefined>
}
