import { Inode, indexEntryOffset } from './inode.ts'
import { newMessage, type Message, type ObjectMessage } from './message.ts'
import { inodeOid, writeOid, type ObjectId } from './object-id.ts'
import { Flag, Opcode, Req, ReqObj, RspObj, SD_SHEEP_PROTO_VERS } from './sd-proto.ts'
import { u64, viewOf } from './field.ts'

/**
 * READ_OBJ: `length` bytes at `offset` of an object. Never flag WRITE (docs/sheepdog-protocol.md#0, rule 2). Result
 * NO_OBJ when missing.
 */
export function readObject(oid: ObjectId, offset: number, length: number): ObjectMessage {
  return withObject(newMessage(Opcode.READ_OBJ, { wanted: length }), oid, offset)
}

/** WRITE_OBJ: into an object that exists. Results NO_OBJ, READONLY. */
export function writeObject(oid: ObjectId, offset: number, payload: Uint8Array): ObjectMessage {
  return withObject(newMessage(Opcode.WRITE_OBJ, { payload }), oid, offset)
}

/**
 * CREATE_AND_WRITE_OBJ: replaces the whole object by zeros, or by `base` (copy on write), overlaid with the payload. At
 * most one may be in flight per object (docs/sheepdog-protocol.md#0, rule 4). Results READONLY; NO_OBJ when the base is
 * missing.
 */
export function createObject(oid: ObjectId, offset: number, payload: Uint8Array, base?: ObjectId): ObjectMessage {
  const message = newMessage(Opcode.CREATE_AND_WRITE_OBJ, { flags: base ? Flag.COW : 0, payload })
  if (base) {
    ReqObj.cowOidIndex.set(message.header, base.index)
    ReqObj.cowOidHigh.set(message.header, base.high)
  }
  return withObject(message, oid, offset)
}

/**
 * REMOVE_OBJ: from every node that has it; no reference is counted and nothing is checked. Only for own data objects of hyper
 * volumes that the tree names no more. Result NO_OBJ when missing.
 */
export function removeObject(oid: ObjectId): ObjectMessage {
  return withObject(newMessage(Opcode.REMOVE_OBJ, {}), oid, 0)
}

/**
 * Index update: entries `first`… of the inode of `vid` become `vids`. Only entries that this very update changes may be
 * in it, and it must not be in flight twice (docs/sheepdog-protocol.md#0, rules 5 and 6).
 */
export function writeIndex(vid: number, first: number, vids: readonly number[]): ObjectMessage {
  const payload = new Uint8Array(4 * vids.length)
  const view = viewOf(payload)
  vids.forEach((entry, i) => {
    view.setUint32(4 * i, entry, true)
  })
  return writeObject(inodeOid(vid), indexEntryOffset(first), payload)
}

/** Writes vdi_size, 8 bytes, into the inode of `vid`: grows the VDI. */
export function writeVdiSize(vid: number, size: number): ObjectMessage {
  const payload = new Uint8Array(8)
  u64(0).set(viewOf(payload), size)
  return writeObject(inodeOid(vid), Inode.vdiSize.offset, payload)
}

/** FLUSH_VDI: what the gateway's object cache holds of `vid` goes to the cluster. INVALID_PARMS: it has no cache. */
export function flushVdi(vid: number): ObjectMessage {
  return withObject(newMessage(Opcode.FLUSH_VDI, {}), inodeOid(vid), 0)
}

/** FLUSH_DEL_CACHE: writes back and drops the gateway's cache of `vid`. `protoVer` is the internal version. */
export function flushDelCache(vid: number, protoVer: number): ObjectMessage {
  return internal(withObject(newMessage(Opcode.FLUSH_DEL_CACHE, {}), inodeOid(vid), 0), protoVer)
}

/** DELETE_CACHE: drops the caches of `vid`, of all gateways. `protoVer` is the internal version. */
export function deleteCache(vid: number, protoVer: number): ObjectMessage {
  return internal(withObject(newMessage(Opcode.DELETE_CACHE, {}), inodeOid(vid), 0), protoVer)
}

/** EXIST: whether the asked sheep itself stores the object. `protoVer` is the internal version. */
export function exist(oid: ObjectId, protoVer: number = SD_SHEEP_PROTO_VERS[0]): ObjectMessage {
  return internal(withObject(newMessage(Opcode.EXIST, {}), oid, 0), protoVer)
}

function internal(message: ObjectMessage, protoVer: number): ObjectMessage {
  Req.protoVer.set(message.header, protoVer)
  return message
}

function withObject(message: Message, oid: ObjectId, offset: number): ObjectMessage {
  writeOid(message.header, oid, ReqObj.oid.offset)
  ReqObj.offset.set(message.header, offset)
  return { header: message.header, payload: message.payload, wanted: message.wanted, oid }
}

/**
 * Rebuilds a read whose zero blocks an old server (0.5.2 to 0.7) cut from head and tail: the `received` bytes at the
 * start of `into` move to the place the response names, the rest becomes zero. A place that does not fit counts as 0.
 */
export function restoreTrimmed(into: Uint8Array, received: number, responseHeader: DataView): void {
  if (received === into.length) return
  const cut = RspObj.offset.get(responseHeader)
  const start = cut + received <= into.length ? cut : 0
  into.copyWithin(start, 0, received)
  into.fill(0, 0, start)
  into.fill(0, start + received)
}
