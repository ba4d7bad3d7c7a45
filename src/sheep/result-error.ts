import { SheepfsError, type ErrorCode } from '../errors.ts'
import { Result, resultName, type ResultName } from '../wire/sd-proto.ts'

/** What a result that is not SUCCESS means to a caller (docs/sheepdog-protocol.md#2.4). */
const CODES: Partial<Record<ResultName, ErrorCode>> = {
  NO_VDI: 'not-found',
  NO_TAG: 'not-found',
  NO_BASE_VDI: 'not-found',
  NOT_FOUND: 'not-found',
  VDI_EXIST: 'exists',
  VDI_LOCKED: 'locked',
  INVALID_PARMS: 'not-supported',
  NO_SUPPORT: 'not-supported',
  VER_MISMATCH: 'not-supported',
  READONLY: 'read-only',
  NO_SPACE: 'no-space',
  FULL_VDI: 'no-space',
  WAIT_FOR_FORMAT: 'not-formatted',
  NOT_FORMATTED: 'not-formatted',
}

/** What a user reads instead of a name like WAIT_FOR_JOIN. */
const TEXTS: Partial<Record<ResultName, string>> = {
  NO_OBJ: 'an object is missing',
  EIO: 'disk error in the cluster',
  NO_VDI: 'no such VDI',
  NO_TAG: 'no such snapshot',
  VDI_EXIST: 'the name is taken',
  VDI_LOCKED: 'locked by another client',
  NO_SPACE: 'the cluster is full',
  VDI_WRITE: 'an inode could not be written: is the cluster full?',
  BASE_VDI_WRITE: 'the inode of the snapshot could not be written: is the cluster full?',
  WAIT_FOR_FORMAT: 'the cluster is not formatted',
  WAIT_FOR_JOIN: 'the cluster waits for missing nodes',
  HALT: 'the cluster has too few nodes to write',
  SHUTDOWN: 'the sheep is shutting down',
  KILLED: 'the sheep is being killed',
  READONLY: 'the VDI has become a snapshot',
  VER_MISMATCH: 'the sheep speaks another protocol version',
}

/**
 * An error for `what`, which failed with `result`: `read of VDI "a": the cluster is full (NO_SPACE)`. A result that goes away by
 * itself means that the cluster does not serve now: unreachable.
 */
export function resultError(result: number, what: string): SheepfsError {
  const name = resultName(result) ?? 'UNKNOWN'
  const text = TEXTS[name]
  const code = CODES[name] ?? (isTransient(result) ? 'unreachable' : 'io')
  return new SheepfsError(code, `${what}: ${text === undefined ? name : `${text} (${name})`}`)
}

/** Errors: as `resultError` says, unless it is SUCCESS. */
export function expectSuccess({ result }: { readonly result: number }, what: string): void {
  if (result !== Result.SUCCESS) throw resultError(result, what)
}

/** Whether an object that should be there may yet be: nodes come and go, and disks (docs/sheepdog-protocol.md#5.2). */
export function mayAppear(result: number): boolean {
  return result === Result.NO_OBJ || result === Result.EIO
}

/** Results that go away by themselves: the request is sent again (docs/sheepdog-protocol.md#13.2). */
const TRANSIENT = new Set<number>([
  Result.STARTUP,
  Result.SHUTDOWN,
  Result.WAIT_FOR_JOIN,
  Result.HALT,
  Result.COLLECTING_CINFO_09,
  Result.COLLECTING_CINFO,
  Result.OLD_NODE_VER,
  Result.NEW_NODE_VER,
  Result.NETWORK_ERROR,
  Result.KILLED,
  Result.AGAIN,
  Result.STALE_OBJ,
  Result.SYSTEM_ERROR,
  Result.NO_MEM,
])

export function isTransient(result: number): boolean {
  return TRANSIENT.has(result)
}

/** Transient results that a gateway gives before it does anything. */
const REFUSALS = new Set<number>([
  Result.STARTUP,
  Result.WAIT_FOR_JOIN,
  Result.HALT,
  Result.COLLECTING_CINFO_09,
  Result.COLLECTING_CINFO,
])

/** Whether a request with this transient result may have been executed, in part or whole. */
export function isUndecided(result: number): boolean {
  return isTransient(result) && !REFUSALS.has(result)
}

/** Transient results that another gateway may not give. */
export function isGatewayLeaving(result: number): boolean {
  return result === Result.SHUTDOWN || result === Result.KILLED
}
