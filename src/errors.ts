/**
 * What can go wrong, as far as a caller can act on it. Every exit (errno in `fuse/`, HTTP status in `api/`, exit code in
 * `cli/`) lists all of them in an exhaustive table.
 */
export type ErrorCode =
  | 'not-found' // no such VDI, snapshot, volume, file
  | 'exists' // the name is taken
  | 'busy' // in use here: open files, a mount in progress
  | 'locked' // the VDI's lock is held by another client
  | 'read-only' // a snapshot, or a volume attached read-only
  | 'invalid' // the caller's argument is wrong
  | 'not-permitted' // never allowed (create, rename, shrink)
  | 'not-supported' // not by this engine, kernel or cluster
  | 'name-too-long'
  | 'no-space' // past the end of the volume, or the cluster is full
  | 'past-end' // no data or hole from there on
  | 'too-large' // beyond what the index of the VDI can address
  | 'stale' // it is no more what was attached: deleted, rolled back, or of another cluster
  | 'not-formatted' // the cluster was never formatted
  | 'unreachable' // no sheep answers
  | 'timeout' // nothing came back in time
  | 'protocol' // the peer broke the protocol
  | 'io' // anything else the cluster answered
  | 'closed' // used after close
  | 'not-running' // no daemon listens on the control socket

/**
 * The one error class of the program. `message` names the object and says what was expected, in lower case without a final
 * stop; `cause` is what it was made from.
 */
export class SheepfsError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SheepfsError'
    this.code = code
  }
}

/** True when `error` is a SheepfsError, of the given code when one is named. */
export function isSheepfsError(error: unknown, code?: ErrorCode): error is SheepfsError {
  return error instanceof SheepfsError && (code === undefined || error.code === code)
}

/** Whether no sheep has answered: nothing was said about what was asked for. */
export function isNoAnswer(error: unknown): error is SheepfsError {
  return isSheepfsError(error, 'unreachable') || isSheepfsError(error, 'timeout')
}

/** The text of any thrown value, for messages; never empty. */
export function errorText(error: unknown): string {
  // of a name with several addresses each has failed, and the whole has no message
  if (error instanceof AggregateError && error.message === '') return error.errors.map(errorText).join('; ')
  if (error instanceof Error) return error.message === '' ? error.name : error.message
  return String(error)
}

/** Longest line of `plainLine`. */
const LINE_LIMIT = 1000
/** C0, DEL, C1, separators of lines, and what turns the direction of writing. */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu

/** A text from elsewhere for a line of a log, a terminal or the service manager: one line, nothing but characters, not long. */
export function plainLine(text: string): string {
  const line = text.slice(0, LINE_LIMIT * 2).replaceAll(UNPRINTABLE, ' ')
  return line.length > LINE_LIMIT ? `${line.slice(0, LINE_LIMIT - 1)}…` : line
}
