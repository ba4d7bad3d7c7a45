import { succeed } from '../test/e2e/stage/program.ts'
import type { Outcome } from './target.ts'
import { speed, type Workload } from './workload.ts'

const LIMIT_MS = 300_000

/** The part of fio's report that is read. */
interface Report {
  readonly jobs: readonly {
    readonly read: { readonly io_bytes: number }
    readonly write: { readonly io_bytes: number }
    readonly job_runtime: number
    readonly total_err?: number
  }[]
}

/**
 * Runs a load on a file of `size` bytes. The time is that of the slowest job, its fsync included; requests that fail are
 * counted, not fatal: there are file systems that fail under load. Buffers begin at a page, as those of dd, loop devices and
 * hypervisors do: the kernel cuts 1 MiB from any other place in two.
 */
export async function runFio(file: string, size: number, workload: Workload): Promise<Outcome> {
  const args = [
    '--name=bench',
    `--filename=${file}`,
    '--allow_file_create=0',
    `--rw=${workload.order === 'random' ? 'rand' : ''}${workload.direction}`,
    `--bs=${workload.blockSize}`,
    `--size=${size}`,
    `--io_size=${workload.bytesPerJob}`,
    '--ioengine=psync',
    '--iomem_align=4096',
    '--thread',
    `--numjobs=${workload.jobs}`,
    '--invalidate=1',
    '--norandommap',
    '--randrepeat=0',
    ...(workload.direction === 'write' ? ['--end_fsync=1'] : []),
    '--continue_on_error=io',
    '--output-format=json',
  ]
  const output = await succeed('fio', args, { limitMs: LIMIT_MS })
  // what it has to say about failed requests comes before the report
  const { jobs } = JSON.parse(output.slice(output.indexOf('{\n'))) as Report
  const bytes = jobs.reduce((sum, job) => sum + job[workload.direction].io_bytes, 0)
  const slowestMs = Math.max(...jobs.map((job) => job.job_runtime))
  const failures = jobs.reduce((sum, job) => sum + (job.total_err ?? 0), 0)
  return { speed: speed(workload, bytes, slowestMs / 1000), failures }
}
