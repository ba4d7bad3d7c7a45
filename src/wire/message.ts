import { viewOf } from './field.ts'
import type { ObjectId } from './object-id.ts'
import { FIRST_INTERNAL_OPCODE, Flag, Req, Rsp, SD_HEADER_SIZE, SD_PROTO_VER, SD_SHEEP_PROTO_VERS } from './sd-proto.ts'

/**
 * A request that only lacks its id, which a connection gives it when it sends it. The payload's memory must not change
 * before the response has come.
 */
export interface Message {
  readonly header: DataView
  readonly payload: Uint8Array | undefined
  /** Most bytes the response may carry. */
  readonly wanted: number
  /** The object that is read or changed. */
  readonly oid?: ObjectId
}

/** Of an object. */
export type ObjectMessage = Message & { readonly oid: ObjectId }

/** A header with opcode, version, flags and length set; the caller fills the union at 16. */
export function newMessage(
  opcode: number,
  options: { flags?: number; payload?: Uint8Array; wanted?: number },
): Message {
  const header = new DataView(new ArrayBuffer(SD_HEADER_SIZE))
  const { flags = 0, payload, wanted = 0 } = options
  Req.protoVer.set(header, opcode < FIRST_INTERNAL_OPCODE ? SD_PROTO_VER : SD_SHEEP_PROTO_VERS[0])
  Req.opcode.set(header, opcode)
  Req.flags.set(header, payload ? flags | Flag.WRITE : flags)
  Req.dataLength.set(header, payload ? payload.length : wanted)
  return { header, payload, wanted }
}

/** A response as a caller sees it. `header` is its own copy, 48 bytes. */
export interface Response {
  readonly result: number
  readonly epoch: number
  readonly header: DataView
  readonly payload: Uint8Array
}

/** Copies a header out of a framer and reads what every response has. */
export function toResponse(header: DataView, payload: Uint8Array): Response {
  const own = new Uint8Array(SD_HEADER_SIZE)
  own.set(new Uint8Array(header.buffer, header.byteOffset, SD_HEADER_SIZE))
  const view = viewOf(own)
  return { result: Rsp.result.get(view), epoch: Rsp.epoch.get(view), header: view, payload }
}
