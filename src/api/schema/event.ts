import { Type, type Static } from 'typebox'
import { MountState } from './mount.ts'
import { Count, Name, Time, VolumeNameText } from './scalars.ts'

export const EventType = Type.Enum([
  'mount-added',
  'mount-removed',
  'mount-state', // state, reason
  'worker-started', // generation; reason: why its predecessor ended
  'volume-attached',
  'volume-detached', // reason: when nobody asked for it
  'device-mapped',
  'device-unmapped',
  'cache-changed',
  'sheep-changed',
  'io-timeout-changed',
  'vdi-created', // also by clone
  'vdi-deleted',
  'vdi-snapshot',
  'vdi-rolled-back', // vdi: the snapshot
  'vdi-resized',
  'progress', // operation, vdi, done of total
  'reloaded',
  'reload-failed', // reason
  'stopping',
])
export type EventType = Static<typeof EventType>

/** Something happened. Which of the optional fields are there depends on the type. */
export const Event = Type.Object({
  type: EventType,
  time: Time,
  mount: Type.Optional(Name),
  volume: Type.Optional(VolumeNameText),
  vdi: Type.Optional(Type.String()),
  state: Type.Optional(MountState),
  reason: Type.Optional(Type.String()),
  generation: Type.Optional(Count),
  operation: Type.Optional(Type.Literal('delete')),
  done: Type.Optional(Count),
  total: Type.Optional(Count),
})
export type Event = Static<typeof Event>
