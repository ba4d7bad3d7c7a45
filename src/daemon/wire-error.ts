import { errorText, plainLine, SheepfsError, type ErrorCode } from '../errors.ts'
import type { WireError } from './worker-protocol.ts'

const CODES = {
  'not-found': true,
  exists: true,
  busy: true,
  locked: true,
  'read-only': true,
  invalid: true,
  'not-permitted': true,
  'not-supported': true,
  'name-too-long': true,
  'no-space': true,
  'past-end': true,
  'too-large': true,
  stale: true,
  'not-formatted': true,
  unreachable: true,
  timeout: true,
  protocol: true,
  io: true,
  closed: true,
  'not-running': true,
} as const satisfies Record<ErrorCode, true>

/** Whether an error may have this code. */
export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(CODES, code)
}

/** Any thrown value as it travels between the processes; a programming error as io. */
export function toWireError(error: unknown): WireError {
  return { code: error instanceof SheepfsError ? error.code : 'io', message: errorText(error) }
}

/** On one line, whatever the other process has made of it. */
export function fromWireError({ code, message }: WireError): SheepfsError {
  return new SheepfsError(code, plainLine(message))
}
