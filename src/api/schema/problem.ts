import { Type, type Static } from 'typebox'

/** An error answer, application/problem+json (RFC 9457). */
export const Problem = Type.Object({
  type: Type.String({ description: 'always "about:blank"; `code` tells errors apart' }),
  title: Type.String({ description: 'what the HTTP status says' }),
  status: Type.Integer(),
  code: Type.String({ description: 'stable, for programs: "not-found", "busy", …' }),
  detail: Type.String({ description: 'what went wrong, for people' }),
})
export type Problem = Static<typeof Problem>
