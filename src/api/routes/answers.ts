import { Type, type TSchema } from 'typebox'
import { Problem } from '../schema/problem.ts'

export const MountParams = Type.Object({ mount: Type.String({ description: 'the name of a mount' }) })

export const ForceQuery = Type.Object(
  { force: Type.Optional(Type.Boolean({ description: 'true or false: whether to go on while files are open' })) },
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
