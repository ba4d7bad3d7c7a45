import { Type, type Static } from 'typebox'
import { MountState, Mount } from './mount.ts'
import { Bytes, Name, Time } from './scalars.ts'

export const InstanceState = Type.Enum(['starting', 'running', 'reloading', 'stopping'])

export const Status = Type.Object({
  instance: Name,
  version: Type.String(),
  state: InstanceState,
  pid: Type.Integer(),
  started_at: Time,
  memory: Bytes,
  config_file: Type.Union([Type.String(), Type.Null()]),
  mounts: Type.Array(Mount),
})
export type Status = Static<typeof Status>

/**
 * ok: every mount serves; degraded: some wait for their cluster, are between two workers, or stop; starting: some of the
 * configuration have not served yet; failed: some cannot be served.
 */
export const Health = Type.Object({
  status: Type.Enum(['ok', 'degraded', 'starting', 'failed']),
  mounts: Type.Array(Type.Object({ name: Name, state: MountState, reason: Type.Union([Type.String(), Type.Null()]) })),
})
export type Health = Static<typeof Health>
