import { Type, type Static } from 'typebox'
import { Bytes, Count, SheepAddress, Time } from './scalars.ts'

/** running; unformatted; joining: members are missing; stopping; error: `state_text` tells. */
export const ClusterState = Type.Enum(['running', 'unformatted', 'joining', 'stopping', 'error'])

const Space = Type.Object({ total: Bytes, free: Bytes })

export const ClusterInfo = Type.Object({
  state: ClusterState,
  state_text: Type.String(),
  created_at: Type.Union([Time, Type.Null()]),
  epoch: Count,
  copies: Type.String({ description: 'copies of an object, "2", or data and parity strips, "4:2"' }),
  store: Type.String(),
  locking: Type.Boolean(),
  strict: Type.Boolean(),
  auto_recovery: Type.Boolean(),
  epochs: Type.Array(Type.Object({ epoch: Count, began_at: Time, nodes: Type.Array(SheepAddress) }), {
    description: 'the membership of the past, newest first',
  }),
})
export type ClusterInfo = Static<typeof ClusterInfo>

/** One sheep of the cluster. */
export const Node = Type.Object({
  address: SheepAddress,
  zone: Type.Integer(),
  vnodes: Count,
  disks: Count,
  space: Type.Union([Space, Type.Null()], { description: 'null: it does not answer' }),
})
export type Node = Static<typeof Node>
