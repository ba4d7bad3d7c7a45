import { Type, type Static } from 'typebox'
import { Name } from './scalars.ts'

/** One thing that a reload does, or would do. */
export const ReloadStep = Type.Object({
  mount: Type.Union([Name, Type.Null()], { description: 'the mount that it is about; null: the instance' }),
  text: Type.String({ description: 'what it is, for people' }),
  effect: Type.Enum(['online', 'new-worker', 'unmount', 'mount', 'daemon-restart'], {
    description:
      'online: nobody notices; new-worker: under the running mount; unmount: files of it must not be open; mount; daemon-restart: only then',
  }),
})
export type ReloadStep = Static<typeof ReloadStep>

export const Reload = Type.Object({ steps: Type.Array(ReloadStep) })
export type Reload = Static<typeof Reload>
