import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Convert, Default } from 'typebox/value'
import { SheepfsError } from '../errors.ts'
import { explainInvalid } from './explain-invalid.ts'

/** What has a flaw, where the message does not name a key of its own. */
const PART: Readonly<Record<string, string>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
}

/** Levels of lists and objects that a request may have; none has more than three. What walks them does so by recursion. */
const DEEPEST = 16

function isDeeperThan(value: unknown, levels: number): boolean {
  let found = [value]
  for (let level = 0; found.length > 0 && level <= levels; level++) {
    found = found.flatMap((item) =>
      typeof item === 'object' && item !== null ? (Object.values(item) as unknown[]) : [],
    )
  }
  return found.length > 0
}

/**
 * Checks the parts of requests: what is left out gets its default, unknown keys are refused, and only text of the query
 * is taken for numbers and booleans. Errors: invalid, naming every flaw.
 */
export const requestCheck: FastifySchemaCompiler<TSchema> = ({ schema, httpPart = 'body' }) => {
  const isText = httpPart !== 'body'
  return (given: unknown) => {
    if (isDeeperThan(given, DEEPEST)) {
      return { error: new SheepfsError('invalid', `${PART[httpPart] ?? httpPart}: more than ${DEEPEST} levels deep`) }
    }
    const value = Default(schema, isText ? Convert(schema, given) : (given ?? undefined))
    const flaws = explainInvalid(schema, value)
    if (flaws.length === 0) return { value }
    const text = flaws.map(({ path, text }) => `${path === '' ? (PART[httpPart] ?? httpPart) : path}: ${text}`)
    return { error: new SheepfsError('invalid', text.join('; ')) }
  }
}
