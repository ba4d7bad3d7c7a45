import { Type, type TSchema } from 'typebox'
import { Problem } from '../schema/problem.ts'

export const MountParams = Type.Object({ mount: Type.String({ description: 'the name of a mount' }) })

const wait = Type.Optional(
  Type.Boolean({
    description:
      'true or false: whether to wait for a cluster that does not answer as long as it takes, not for 30 s; nothing is done ' +
      'any more once the connection is closed',
  }),
)

export const WaitQuery = Type.Object({ wait }, { additionalProperties: false })

export const ForceQuery = Type.Object(
  {
    force: Type.Optional(Type.Boolean({ description: 'true or false: whether to go on while files are open' })),
    wait,
  },
  { additionalProperties: false },
)

export const DryRunQuery = Type.Object(
  {
    dry_run: Type.Optional(Type.Boolean({ description: 'true or false: whether it is only told what would be done' })),
  },
  { additionalProperties: false },
)

export const DetachQuery = Type.Object(
  {
    ...ForceQuery.properties,
    temporary: Type.Optional(
      Type.Boolean({ description: 'true or false: whether to leave alone what is not attached temporarily' }),
    ),
  },
  { additionalProperties: false },
)

/** What a route answers: its own statuses, and problems for all others. */
export function answers<T extends Record<number, TSchema>>(own: T): T & { default: typeof Problem } {
  return { ...own, default: Problem }
}

export const NoContent = Type.Null({ description: 'done' })
