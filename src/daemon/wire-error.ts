import { errorText, SheepfsError } from '../errors.ts'
import type { WireError } from './worker-protocol.ts'

/** Any thrown value as it travels between the processes; a programming error as io. */
export function toWireError(error: unknown): WireError {
  return { code: error instanceof SheepfsError ? error.code : 'io', message: errorText(error) }
}

export function fromWireError({ code, message }: WireError): SheepfsError {
  return new SheepfsError(code, message)
}
