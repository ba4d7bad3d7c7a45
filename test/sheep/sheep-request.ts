import { readOid, type ObjectId } from '../../src/wire/object-id.ts'
import { Flag, Opcode, Req, ReqObj } from '../../src/wire/sd-proto.ts'

/** A request as a scripted sheep got it. */
export interface SheepRequest {
  readonly header: DataView
  readonly opcode: number
  readonly flags: number
  readonly id: number
  readonly dataLength: number
  readonly oid: ObjectId
  readonly base: ObjectId | undefined
  readonly offset: number
  readonly payload: Uint8Array
}

export function toSheepRequest(header: DataView, payload: Uint8Array): SheepRequest {
  const own = new DataView(header.buffer.slice(header.byteOffset, header.byteOffset + header.byteLength) as ArrayBuffer)
  const flags = Req.flags.get(own)
  return {
    header: own,
    opcode: Req.opcode.get(own),
    flags,
    id: Req.id.get(own),
    dataLength: Req.dataLength.get(own),
    oid: readOid(own, ReqObj.oid.offset),
    base: (flags & Flag.COW) !== 0 ? readOid(own, ReqObj.cowOidIndex.offset) : undefined,
    offset: ReqObj.offset.get(own),
    payload: payload.slice(),
  }
}

const GATEWAY_OPS = new Set<number>([
  Opcode.CREATE_AND_WRITE_OBJ,
  Opcode.READ_OBJ,
  Opcode.WRITE_OBJ,
  Opcode.REMOVE_OBJ,
  Opcode.DISCARD_OBJ,
])

/** Whether it counts as active in the answer to STAT: object I/O. */
export function isGatewayRequest({ opcode }: SheepRequest): boolean {
  return GATEWAY_OPS.has(opcode)
}

/** The name of an opcode, for counts and messages. */
export function opcodeName(opcode: number): string {
  return Object.entries(Opcode).find(([, code]) => code === opcode)?.[0] ?? `0x${opcode.toString(16)}`
}
