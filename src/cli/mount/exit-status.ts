import { isSheepfsError, type ErrorCode } from '../../errors.ts'

/** Exit statuses of mount(8). */
export const ExitStatus = { SUCCESS: 0, USAGE: 1, SYSTEM: 2, INTERNAL: 4, USER: 8, FAIL: 32 } as const

/** What a mount helper exits with, for every error. */
const STATUS = {
  invalid: ExitStatus.USAGE,
  'not-permitted': ExitStatus.USAGE,
  'name-too-long': ExitStatus.USAGE,
  'not-supported': ExitStatus.SYSTEM,
  protocol: ExitStatus.INTERNAL,
  'not-found': ExitStatus.FAIL,
  exists: ExitStatus.FAIL,
  busy: ExitStatus.FAIL,
  locked: ExitStatus.FAIL,
  'read-only': ExitStatus.FAIL,
  'no-space': ExitStatus.FAIL,
  'past-end': ExitStatus.FAIL,
  'too-large': ExitStatus.FAIL,
  stale: ExitStatus.FAIL,
  'not-formatted': ExitStatus.FAIL,
  'not-running': ExitStatus.FAIL,
  closed: ExitStatus.FAIL,
  unreachable: ExitStatus.FAIL,
  timeout: ExitStatus.FAIL,
  io: ExitStatus.FAIL,
} as const satisfies Record<ErrorCode, number>

/** The exit status that mount(8) documents for such a failure; a programming error is an internal one. */
export function exitStatusOf(error: unknown): number {
  return isSheepfsError(error) ? STATUS[error.code] : ExitStatus.INTERNAL
}
