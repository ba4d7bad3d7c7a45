import { SheepfsError, type ErrorCode } from '../errors.ts'

/** Exit codes of sheepfsctl, with what its help says of each. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  conflict: 4,
  notRunning: 5,
  notPermitted: 6,
  unreachable: 7,
  unhealthy: 8,
  degraded: 9,
} as const

export const EXIT_TEXT: Readonly<Record<keyof typeof EXIT, string>> = {
  done: 'done',
  failed: 'anything else went wrong',
  usage: 'the command line or a value in it is wrong',
  notFound: 'no such mount, volume, VDI or snapshot',
  conflict: 'busy (files are open), locked by another client, or the name is taken',
  notRunning: 'the daemon is not running, or stopping',
  notPermitted: 'this user may not, or nobody may',
  unreachable: 'no sheep answers, or not in time',
  unhealthy: 'health or doctor found what needs mending',
  degraded: 'health found mounts that do not serve now',
}

const EXIT_OF_ERROR = {
  'not-found': EXIT.notFound,
  exists: EXIT.conflict,
  busy: EXIT.conflict,
  locked: EXIT.conflict,
  'read-only': EXIT.notPermitted,
  invalid: EXIT.usage,
  'not-permitted': EXIT.notPermitted,
  'not-supported': EXIT.failed,
  'name-too-long': EXIT.usage,
  'no-space': EXIT.failed,
  'past-end': EXIT.failed,
  'too-large': EXIT.usage,
  stale: EXIT.failed,
  'not-formatted': EXIT.unreachable,
  unreachable: EXIT.unreachable,
  timeout: EXIT.unreachable,
  protocol: EXIT.failed,
  io: EXIT.failed,
  closed: EXIT.notRunning,
  'not-running': EXIT.notRunning,
} satisfies Record<ErrorCode, number>

/** The exit code for whatever was thrown. */
export function exitCodeOf(error: unknown): number {
  return error instanceof SheepfsError ? EXIT_OF_ERROR[error.code] : EXIT.failed
}
