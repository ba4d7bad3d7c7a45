import { Type, type Static } from 'typebox'
import { EngineName } from './config.ts'
import { AbsolutePath, Count, IoTimeout, Name, SheepAddress, SheepAddresses, Time, VolumeNameText } from './scalars.ts'

/**
 * starting: not yet mounted; serving; waiting: mounted, requests wait for the cluster, or the worker does not answer;
 * restarting: mounted, between two workers; failed: no worker can be kept running, or mounting failed, tried again later, or it was unmounted from outside;
 * stopping: being unmounted.
 */
export const MountState = Type.Enum(['starting', 'serving', 'waiting', 'restarting', 'failed', 'stopping'])
export type MountState = Static<typeof MountState>

/** The process that serves a mount. */
export const Worker = Type.Object({
  pid: Type.Integer(),
  generation: Type.Integer({ description: 'how many workers the mount has had, this one included' }),
  started_at: Time,
  version: Type.Optional(Type.String({ description: 'of its program; a supervisor of version 0.1.0 does not say' })),
})
export type Worker = Static<typeof Worker>

const WriteBack = Type.Boolean({
  description: 'whether cached writes are held back: only of a mount that was made with page_cache and write_back',
})

export const Mount = Type.Object({
  name: Name,
  mountpoint: AbsolutePath,
  engine: EngineName,
  state: MountState,
  reason: Type.Union([Type.String(), Type.Null()], { description: 'why it is not serving' }),
  since: Time,
  worker: Type.Union([Worker, Type.Null()]),
  open_files: Count,
  volumes: Type.Array(VolumeNameText),
  sheep: SheepAddresses,
  gateway: Type.Union([SheepAddress, Type.Null()], { description: 'the sheep in use' }),
  page_cache: Type.Boolean(),
  object_cache: Type.Boolean(),
  write_back: WriteBack,
  io_timeout: IoTimeout,
  configured: Type.Boolean({ description: 'in the configuration file, not added at run time' }),
})
export type Mount = Static<typeof Mount>

/** Body of PATCH /v1/mounts/{mount}: what can change while mounted, besides caches, volumes and sheep. */
export const MountPatch = Type.Object(
  { io_timeout: IoTimeout },
  { additionalProperties: false, description: 'an object with io_timeout' },
)
export type MountPatch = Static<typeof MountPatch>

export const Cache = Type.Object({
  page_cache: Type.Boolean(),
  object_cache: Type.Boolean(),
  write_back: WriteBack,
  open_files_in_old_mode: Count,
})
export type Cache = Static<typeof Cache>

/** Body of PATCH …/cache. */
export const CachePatch = Type.Object(
  {
    page_cache: Type.Optional(Type.Boolean({ description: 'true or false' })),
    object_cache: Type.Optional(Type.Boolean({ description: 'true or false' })),
  },
  { additionalProperties: false, minProperties: 1, description: 'an object with page_cache, object_cache or both' },
)
export type CachePatch = Static<typeof CachePatch>

export const Sheep = Type.Object({
  addresses: SheepAddresses,
  gateway: Type.Union([SheepAddress, Type.Null()], { description: 'the sheep in use' }),
})
export type Sheep = Static<typeof Sheep>

/** Body of PUT …/sheep. */
export const SheepPut = Type.Object(
  { addresses: SheepAddresses },
  { additionalProperties: false, description: 'an object with addresses' },
)
export type SheepPut = Static<typeof SheepPut>
