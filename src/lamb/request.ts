import { readOid, type ObjectId } from '../wire/object-id.ts'
import { ReqObj } from '../wire/sd-proto.ts'
import type { Block } from './slabs.ts'

/** A whole request. Header and payload are used again once it is answered. */
export interface Request {
  readonly header: DataView
  readonly opcode: number
  /** Flag bits. */
  readonly flags: number
  /** Bytes that came, or bytes wanted back. */
  readonly dataLength: number
  readonly payload: Uint8Array
  /** Number of the listener it came through; owner of the locks it takes. */
  readonly gateway: number
}

/** An answer but for what the connection knows: opcode, id, epoch. */
export interface Reply {
  readonly result: number
  readonly payload?: Uint8Array
  /** In place of `payload`: 48 bytes for the header, then the payload. Released by the connection. */
  readonly block?: Block
  /** Sets the opcode-specific fields of the header, which stands at `at`. */
  readonly fill?: (view: DataView, at: number) => void
}

/** The object that an object operation names. */
export function oidOf(request: Request): ObjectId {
  return readOid(request.header, ReqObj.oid.offset)
}
