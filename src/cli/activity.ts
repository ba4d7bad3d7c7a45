import type { Counters, MountCounters, OperationCounters, VolumeCounters } from '../api/schema/counters.ts'
import { latencyQuantile } from './latency-quantile.ts'

/** Seconds; null when there was no request. */
interface Latencies {
  readonly latency_p50: number | null
  readonly latency_p99: number | null
}

/** What went on of one kind of request. */
interface OperationActivity extends Latencies {
  readonly per_second: number
  readonly bytes_per_second: number
  readonly errors_per_second: number
}

/** What went on in a mount or a volume. */
export interface Activity extends Latencies {
  /** How long it was looked at, s; null: there is nothing to compare with, or the worker does not answer. */
  readonly seconds: number | null
  readonly read: OperationActivity
  readonly write: OperationActivity
  readonly in_flight: number
  /** Those in flight that have had no answer for a second. */
  readonly waiting: number
}

export interface VolumeActivity
  extends Activity, Pick<VolumeCounters, 'volume' | 'open_direct' | 'open_cached' | 'locked' | 'stale'> {}

export interface MountActivity
  extends
    Activity,
    Pick<MountCounters, 'name' | 'state' | 'waiting_since' | 'page_cache' | 'object_cache' | 'write_back'> {
  /** The busiest first. */
  readonly volumes: readonly VolumeActivity[]
}

/** Counts at one moment. */
interface Moment {
  readonly measured_at: number
  readonly operations: readonly OperationCounters[]
}

interface Looked {
  readonly counters: MountCounters
  readonly activity: MountActivity
}

/** What goes on, found by looking at the counters again and again. */
export class ActivityWatch {
  #looked = new Map<string, Looked>()

  /** What went on since the last look. Who gets the same counters again, as observers may, is told the same again. */
  look({ latency_bounds: bounds, mounts }: Counters): MountActivity[] {
    const looked = mounts.map((counters) => {
      const last = this.#looked.get(counters.name)
      if (last && isSameMoment(last.counters, counters)) return last
      const activity = mountActivity(last?.counters, counters, bounds)
      const isSilent = counters.measured_at === 0
      return { counters: isSilent && last ? last.counters : counters, activity }
    })
    this.#looked = new Map(looked.map((one) => [one.counters.name, one]))
    return looked.map(({ activity }) => activity)
  }
}

function isSameMoment(one: MountCounters, other: MountCounters): boolean {
  return one.measured_at === other.measured_at && one.worker_restarts === other.worker_restarts
}

function mountActivity(last: MountCounters | undefined, now: MountCounters, bounds: readonly number[]): MountActivity {
  const { name, state, waiting_since, page_cache, object_cache, write_back } = now
  // a new worker counts from its beginning
  const isNewWorker = last !== undefined && last.worker_restarts !== now.worker_restarts
  const before = isNewWorker ? { measured_at: 0, operations: [], volumes: [] } : last
  const volumesBefore = new Map(before?.volumes.map((volume) => [volume.volume, volume]))
  const volumes = now.volumes.map(({ volume, open_direct, open_cached, locked, stale, ...moment }) => {
    const activity = activityOf(
      before && momentBefore(volumesBefore.get(volume), before.measured_at, moment),
      moment,
      bounds,
    )
    return { volume, ...activity, open_direct, open_cached, locked, stale }
  })
  volumes.sort((one, other) => weight(other) - weight(one) || (one.volume < other.volume ? -1 : 1))
  const activity = activityOf(before, now, bounds)
  return { name, state, waiting_since, ...activity, page_cache, object_cache, write_back, volumes }
}

/** What was attached since, for the first time or again, has counted from 0. */
function momentBefore(last: Moment | undefined, mountMeasuredAt: number, now: Moment): Moment {
  const isSame = last?.operations.every(({ operation, count }) => count <= countsOf(now, operation).count)
  return last && isSame === true ? last : { measured_at: mountMeasuredAt, operations: [] }
}

/** Where one has to look first. */
function weight({ waiting, read, write }: Activity): number {
  return waiting * 1e9 + read.per_second + write.per_second
}

type Counts = Pick<OperationCounters, 'count' | 'errors' | 'bytes' | 'latency_counts'>
const NO_COUNTS: Counts = { count: 0, errors: 0, bytes: 0, latency_counts: [] }

function countsOf({ operations }: Moment, name: string): Counts {
  return operations.find(({ operation }) => operation === name) ?? NO_COUNTS
}

function activityOf(before: Moment | undefined, now: Moment, bounds: readonly number[]): Activity {
  const seconds = before && now.measured_at > before.measured_at ? now.measured_at - before.measured_at : null
  const [reads, writes] = [changeOf('read'), changeOf('write')]
  function changeOf(name: string): Counts {
    return before && seconds !== null ? difference(countsOf(before, name), countsOf(now, name)) : NO_COUNTS
  }
  const both = [...bounds, Infinity].map((_, at) => (reads.latency_counts[at] ?? 0) + (writes.latency_counts[at] ?? 0))
  const sumOf = (key: 'in_flight' | 'waiting') => now.operations.reduce((sum, counters) => sum + counters[key], 0)
  return {
    seconds,
    read: operationActivity(reads, seconds ?? 1, bounds),
    write: operationActivity(writes, seconds ?? 1, bounds),
    ...latenciesOf(both, bounds),
    in_flight: sumOf('in_flight'),
    waiting: sumOf('waiting'),
  }
}

function difference(before: Counts, now: Counts): Counts {
  return {
    count: now.count - before.count,
    errors: now.errors - before.errors,
    bytes: now.bytes - before.bytes,
    latency_counts: now.latency_counts.map((count, at) => count - (before.latency_counts[at] ?? 0)),
  }
}

function operationActivity(counts: Counts, seconds: number, bounds: readonly number[]): OperationActivity {
  return {
    per_second: counts.count / seconds,
    bytes_per_second: counts.bytes / seconds,
    errors_per_second: counts.errors / seconds,
    ...latenciesOf(counts.latency_counts, bounds),
  }
}

function latenciesOf(counts: readonly number[], bounds: readonly number[]): Latencies {
  return { latency_p50: latencyQuantile(0.5, counts, bounds), latency_p99: latencyQuantile(0.99, counts, bounds) }
}
