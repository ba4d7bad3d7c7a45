import { constants } from 'node:os'
import type { Logger } from '../log.ts'
import { SheepfsError, type ErrorCode } from '../errors.ts'

const { errno } = constants

/** What an application sees of each error: a positive errno of this platform. */
export const ERRNO = {
  'not-found': errno.ENOENT,
  exists: errno.EEXIST,
  busy: errno.EBUSY,
  locked: errno.EBUSY,
  'read-only': errno.EROFS,
  invalid: errno.EINVAL,
  'not-permitted': errno.EPERM,
  'not-supported': errno.EOPNOTSUPP,
  'name-too-long': errno.ENAMETOOLONG,
  'no-space': errno.ENOSPC,
  'past-end': errno.ENXIO,
  'too-large': errno.EFBIG,
  stale: errno.ESTALE,
  'not-formatted': errno.ENODEV,
  unreachable: errno.EIO, // block I/O that a limit has ended is an I/O error to every application
  timeout: errno.EIO,
  protocol: errno.EIO,
  io: errno.EIO,
  closed: errno.EIO,
  'not-running': errno.EIO,
} satisfies Record<ErrorCode, number>

/**
 * The positive errno of whatever a tree threw. `operation` names the request in the log. Anything but a SheepfsError is
 * a programming error: EIO, with its stack in the log.
 */
export function errnoOf(error: unknown, operation: string, log: Logger): number {
  if (error instanceof SheepfsError) {
    const number = ERRNO[error.code]
    if (number === errno.EIO) log.error({ err: error, operation }, 'request failed')
    else log.debug({ err: error, operation }, 'request refused')
    return number
  }
  log.error({ err: error, operation }, 'a defect in sheepfs: the request fails with EIO')
  return errno.EIO
}
