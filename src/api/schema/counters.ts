import { Type, type Static } from 'typebox'
import { MountState } from './mount.ts'
import { Bytes, Count, Name, Time, VolumeNameText } from './scalars.ts'

const MeasuredAt = Type.Number({
  description:
    'when, in seconds of a clock that began with the worker: differences of counts belong to differences of it',
})

/** What is counted of one kind of request from the kernel. */
export const OperationCounters = Type.Object({
  operation: Type.String({ description: 'as read, write, fsync, fallocate' }),
  count: Type.Integer({ minimum: 0, description: 'answered' }),
  errors: Type.Integer({ minimum: 0, description: 'answered with an error' }),
  bytes: Bytes,
  in_flight: Type.Integer({ minimum: 0, description: 'not answered yet' }),
  waiting: Type.Integer({ minimum: 0, description: 'those of them that have had no answer for a second' }),
  latency_sum: Type.Number({ minimum: 0, description: 'seconds' }),
  latency_counts: Type.Array(Count, { description: 'answered, by latency: one more than there are latency_bounds' }),
})
export type OperationCounters = Static<typeof OperationCounters>

export const VolumeCounters = Type.Object({
  volume: VolumeNameText,
  measured_at: MeasuredAt,
  open_direct: Type.Integer({ minimum: 0, description: 'open files that bypass the page cache' }),
  open_cached: Type.Integer({ minimum: 0, description: 'open files that use it' }),
  locked: Type.Boolean(),
  stale: Type.Boolean(),
  operations: Type.Array(OperationCounters, {
    description: 'read, write, fsync and fallocate, as far as there were any',
  }),
})
export type VolumeCounters = Static<typeof VolumeCounters>

/** Counts begin at 0 with each worker. */
export const MountCounters = Type.Object({
  name: Name,
  state: MountState,
  waiting_since: Type.Union([Time, Type.Null()]),
  worker_restarts: Count,
  measured_at: MeasuredAt,
  page_cache: Type.Boolean(),
  object_cache: Type.Boolean(),
  write_back: Type.Boolean(),
  operations: Type.Array(OperationCounters),
  volumes: Type.Array(VolumeCounters, { description: 'the attached ones; none while the worker does not answer' }),
})
export type MountCounters = Static<typeof MountCounters>

export const Counters = Type.Object({
  latency_bounds: Type.Array(Type.Number(), { description: 'upper bounds of latency_counts, seconds' }),
  mounts: Type.Array(MountCounters),
})
export type Counters = Static<typeof Counters>
