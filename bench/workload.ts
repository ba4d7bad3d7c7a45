/** One kind of load: `jobs` threads each move `bytesPerJob` in blocks of `blockSize`, one block at a time. */
export interface Workload {
  readonly name: string
  readonly direction: 'read' | 'write'
  readonly order: 'sequential' | 'random'
  readonly blockSize: number
  readonly jobs: number
  readonly bytesPerJob: number
  readonly unit: 'MB/s' | 'IOPS'
}

const KIB = 1024
const MIB = 1024 * KIB

/** All loads, on a file of `size` bytes. Every write ends with fsync, which is part of its time. */
export function workloads(size: number): readonly Workload[] {
  const large = { order: 'sequential', blockSize: MIB, jobs: 1, bytesPerJob: size, unit: 'MB/s' } as const
  const alone = { order: 'random', blockSize: 4 * KIB, jobs: 1, bytesPerJob: 16 * MIB, unit: 'IOPS' } as const
  const together = { ...alone, jobs: 16, bytesPerJob: 4 * MIB } as const
  const buffered = { ...large, blockSize: 4 * KIB, bytesPerJob: 32 * MIB } as const
  return [
    { ...large, name: 'sequential read 1 MiB', direction: 'read' },
    { ...large, name: 'sequential write 1 MiB', direction: 'write' },
    { ...alone, name: 'random read 4 KiB, depth 1', direction: 'read' },
    { ...alone, name: 'random write 4 KiB, depth 1', direction: 'write' },
    { ...together, name: 'random read 4 KiB, depth 16', direction: 'read' },
    { ...together, name: 'random write 4 KiB, depth 16', direction: 'write' },
    { ...buffered, name: 'buffered write 4 KiB, fsync', direction: 'write' },
  ]
}

/** Turns bytes moved in a time into the workload's unit. */
export function speed(workload: Workload, bytes: number, seconds: number): number {
  return bytes / seconds / (workload.unit === 'MB/s' ? 1e6 : workload.blockSize)
}
