import { Type, type Static } from 'typebox'
import { Bytes, Time, Vid, VolumeNameText } from './scalars.ts'

const Text = (what: string) =>
  Type.String({ minLength: 1, description: `${what} of 1 to 255 bytes of UTF-8, without NUL` })

const Size = Type.Integer({
  minimum: 512,
  maximum: Number.MAX_SAFE_INTEGER,
  multipleOf: 512,
  description: 'a number of bytes, a multiple of 512: a block device has whole sectors',
})

/** An image in the cluster, or a snapshot of one. */
export const Vdi = Type.Object({
  volume: Type.Union([VolumeNameText, Type.Null()], {
    description: 'what to attach it by; null: no such name is possible',
  }),
  name: Type.String(),
  tag: Type.String(),
  snapshot_id: Type.Integer({ description: '0 unless it is a snapshot' }),
  snapshot: Type.Boolean(),
  clone: Type.Boolean(),
  vid: Vid,
  size: Bytes,
  used: Bytes,
  shared: Bytes,
  object_size: Bytes,
  copies: Type.String({ description: 'copies of an object, "2", or data and parity strips, "4:2"' }),
  hyper: Type.Boolean({ description: 'has a B-tree index: any size below 8 PiB, no snapshots' }),
  created_at: Time,
})
export type Vdi = Static<typeof Vdi>

/** One VDI, with what a list has no room for. */
export const VdiInfo = Type.Object({
  ...Vdi.properties,
  parent: Type.Union([VolumeNameText, Type.Null()], {
    description: 'the snapshot that it was made of; null: of none, or of one that is deleted',
  }),
  locked: Type.Boolean({ description: 'whether a client has its lock; never, where the cluster keeps no locks' }),
  locked_through: Type.Union([Type.String(), Type.Null()], {
    description: 'the sheep through which it is locked; null: it is not, or several clients share the lock',
  }),
})
export type VdiInfo = Static<typeof VdiInfo>

/** What POST …/vdis/{vdi}/rollback has done. */
export const Rollback = Type.Object({
  vdi: Vdi,
  kept: Type.Union([Vdi, Type.Null()], {
    description: 'the snapshot that keeps what the VDI had until now; null: there was no working VDI',
  }),
})
export type Rollback = Static<typeof Rollback>

/** Body of POST …/vdis. */
export const VdiCreate = Type.Object(
  {
    name: Text('a name'),
    size: Size,
    copies: Type.Optional(
      Type.String({
        pattern: '^([1-9]|[12]\\d|3[01]|(2|4|8|16):([1-9]|1[0-5]))$',
        description: 'copies, "1" to "31", or "data:parity" strips with 2, 4, 8 or 16 data and 1 to 15 parity strips',
      }),
    ),
    object_size_shift: Type.Optional(
      Type.Integer({ minimum: 20, maximum: 31, description: 'the power of two of the object size, 20 to 31' }),
    ),
    hyper: Type.Optional(Type.Boolean({ description: 'true or false: whether it gets a B-tree index' })),
  },
  { additionalProperties: false, description: 'an object with name and size' },
)
export type VdiCreate = Static<typeof VdiCreate>

/** Body of POST …/vdis/{vdi}/snapshots. */
export const SnapshotCreate = Type.Object(
  { tag: Text('a tag') },
  { additionalProperties: false, description: 'an object with tag' },
)
export type SnapshotCreate = Static<typeof SnapshotCreate>

/** Body of POST …/vdis/{vdi}/clone: the VDI to make of a snapshot. */
export const CloneCreate = Type.Object(
  { name: Text('a name') },
  { additionalProperties: false, description: 'an object with name' },
)
export type CloneCreate = Static<typeof CloneCreate>

/** Body of POST …/vdis/{vdi}/resize. */
export const Resize = Type.Object({ size: Size }, { additionalProperties: false, description: 'an object with size' })
export type Resize = Static<typeof Resize>
