import { Type, type Static } from 'typebox'
import { AbsolutePath, Bytes, Count, Vid, VolumeNameText } from './scalars.ts'

/** An attached VDI or snapshot: a file below the mountpoint. */
export const Volume = Type.Object({
  name: VolumeNameText,
  path: AbsolutePath,
  vid: Vid,
  size: Bytes,
  object_size: Bytes,
  snapshot: Type.Boolean(),
  read_only: Type.Boolean(),
  locked: Type.Boolean({ description: "whether the mount holds the VDI's lock" }),
  open_files: Count,
  stale: Type.Boolean({
    description: 'whether it is no more what was attached (deleted, rolled back, another cluster): detach it',
  }),
  configured: Type.Boolean({ description: 'in the configuration file, not attached at run time' }),
  temporary: Type.Boolean({ description: 'whether it is detached as soon as nobody has it open any more' }),
})
export type Volume = Static<typeof Volume>

/** Body of PUT …/volumes/{volume}; may be left out. */
export const VolumePut = Type.Object(
  {
    read_only: Type.Optional(Type.Boolean({ description: 'true or false: whether writing is refused' })),
    temporary: Type.Optional(
      Type.Boolean({
        description:
          'true or false: whether it is detached as soon as nobody has it open any more; what was attached without it stays so',
      }),
    ),
    break_lock: Type.Optional(
      Type.Boolean({
        description: "true or false: whether the VDI's lock is taken from a client that is gone for good",
      }),
    ),
  },
  {
    additionalProperties: false,
    default: {},
    description: 'an object, possibly with read_only, temporary and break_lock',
  },
)
export type VolumePut = Static<typeof VolumePut>
