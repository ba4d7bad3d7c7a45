import { STATUS_CODES } from './node-http.ts'
import { SheepfsError, errorText, type ErrorCode } from '../errors.ts'
import type { Problem } from './schema/problem.ts'

/** A socket has as much to do as it may have: the request is not looked at, and can be sent again. */
export class Overloaded extends Error {}

const OVERLOADED = 'overloaded'

/** The HTTP status of every error. */
export const HTTP_STATUS = {
  'not-found': 404,
  exists: 409,
  busy: 409,
  locked: 423,
  'read-only': 403,
  invalid: 400,
  'not-permitted': 403,
  'not-supported': 501,
  'name-too-long': 400,
  'no-space': 507,
  'past-end': 400,
  'too-large': 422,
  stale: 410,
  'not-formatted': 503,
  unreachable: 503,
  timeout: 504,
  protocol: 502,
  io: 502,
  closed: 503,
  'not-running': 503,
} satisfies Record<ErrorCode, number>

/** Codes of what HTTP itself refuses, by status. */
const HTTP_CODES: Readonly<Record<number, string>> = {
  400: 'invalid',
  404: 'no-such-route',
  405: 'method-not-allowed',
  408: 'request-timeout',
  413: 'body-too-large',
  415: 'media-type',
  417: 'expectation-failed',
  431: 'head-too-large',
}

export const PROBLEM_TYPE = 'application/problem+json'
/** A detail may name what the client has sent, and need not repeat all of it. */
const LONGEST_DETAIL = 8192

/** The answer for anything a route threw. What is not an error of the program or of HTTP is a defect: 500 `internal`. */
export function toProblem(error: unknown): Problem {
  if (error instanceof SheepfsError) return problem(HTTP_STATUS[error.code], error.code, error.message)
  if (error instanceof Overloaded) return problem(503, OVERLOADED, error.message)
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  if (typeof status === 'number' && status < 500) return httpProblem(status, detailOf(status, error))
  return problem(500, 'internal', 'a defect in sheepfs: its log has more')
}

export function httpProblem(status: number, detail: string): Problem {
  return problem(status, HTTP_CODES[status] ?? 'invalid', detail)
}

/** What a program can do about a code that is not of this program's own errors. */
export function errorCodeOf(code: string): ErrorCode {
  if (Object.hasOwn(HTTP_STATUS, code)) return code as ErrorCode
  return code === OVERLOADED ? 'busy' : 'io'
}

function detailOf(status: number, error: unknown): string {
  if (status === 415) return 'the body is not of a type that is understood: expected content-type application/json'
  return `${errorText(error).replace(/\.$/, '')}: expected a JSON body, or none at all`
}

function problem(status: number, code: string, detail: string): Problem {
  const shown = detail.length > LONGEST_DETAIL ? `${detail.slice(0, LONGEST_DETAIL)}…` : detail
  return { type: 'about:blank', title: STATUS_CODES[status] ?? 'Error', status, code, detail: shown }
}
