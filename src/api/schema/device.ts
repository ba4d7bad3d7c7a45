import { Type, type Static } from 'typebox'
import { AbsolutePath, Bytes, VolumeNameText } from './scalars.ts'

const SectorSize = Type.Enum([512, 1024, 2048, 4096], { description: '512, 1024, 2048 or 4096' })

/** A volume as a block device of this host: a loop device over its file. */
export const Device = Type.Object({
  volume: VolumeNameText,
  path: AbsolutePath,
  link: Type.Union([AbsolutePath, Type.Null()], { description: 'its lasting name; null where udev has made none' }),
  size: Bytes,
  sector_size: SectorSize,
  read_only: Type.Boolean(),
  partitions: Type.Array(AbsolutePath),
  used_by: Type.Array(Type.String(), { description: 'who uses it or its partitions, for people' }),
})
export type Device = Static<typeof Device>

/** Body of PUT …/devices/{volume}; may be left out. */
export const DevicePut = Type.Object(
  {
    read_only: Type.Optional(
      Type.Boolean({ description: 'true or false: whether writing is refused; a snapshot is always read-only' }),
    ),
    sector_size: Type.Optional(SectorSize),
    break_lock: Type.Optional(
      Type.Boolean({
        description: "true or false: whether the VDI's lock is taken from a client that is gone for good",
      }),
    ),
  },
  {
    additionalProperties: false,
    default: {},
    description: 'an object, possibly with read_only, sector_size and break_lock',
  },
)
export type DevicePut = Static<typeof DevicePut>
