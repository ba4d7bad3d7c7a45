import { Type, type Static } from 'typebox'
import { MountState, Mount } from './mount.ts'
import { AbsolutePath, Bytes, Name, Time, VolumeNameText } from './scalars.ts'

export const InstanceState = Type.Enum(['starting', 'running', 'reloading', 'stopping'])

/** A file system on a loop device over a volume that nobody can serve any more: it gives I/O errors until it is mounted again. */
export const DeadFileSystem = Type.Object({
  mountpoint: AbsolutePath,
  device: AbsolutePath,
  volume: VolumeNameText,
})
export type DeadFileSystem = Static<typeof DeadFileSystem>

const DEAD_FILE_SYSTEMS = Type.Optional(
  Type.Array(DeadFileSystem, {
    description:
      'on loop devices over volumes that nobody can serve any more: mount them again. Version 0.1.0 does not say',
  }),
)

/** Something that the host of a daemon does not give it. */
export const Lack = Type.Object({
  missing: Type.String(),
  matters: Type.String({ description: 'what comes of that, and when' }),
  mend: Type.String(),
})
export type Lack = Static<typeof Lack>

export const Status = Type.Object({
  instance: Name,
  version: Type.String(),
  node: Type.Optional(
    Type.String({ description: 'the version of Node.js that runs the daemon. Version 0.1.0 does not say' }),
  ),
  state: InstanceState,
  pid: Type.Integer(),
  started_at: Time,
  memory: Bytes,
  config_file: Type.Union([Type.String(), Type.Null()]),
  metrics_listen: Type.Optional(
    Type.String({ description: 'where metrics can be read over the network, if anywhere' }),
  ),
  mounts: Type.Array(Mount),
  dead_file_systems: DEAD_FILE_SYSTEMS,
  lacks: Type.Optional(
    Type.Array(Lack, { description: 'what the host does not give the daemon. Version 0.1.0 does not say' }),
  ),
})
export type Status = Static<typeof Status>

/**
 * ok: every mount serves; degraded: some wait for their cluster, are between two workers, or stop; starting: some of the
 * configuration have not served yet; failed: some cannot be served, or a file system on a volume is dead.
 */
export const Health = Type.Object({
  status: Type.Enum(['ok', 'degraded', 'starting', 'failed']),
  mounts: Type.Array(Type.Object({ name: Name, state: MountState, reason: Type.Union([Type.String(), Type.Null()]) })),
  dead_file_systems: DEAD_FILE_SYSTEMS,
})
export type Health = Static<typeof Health>
