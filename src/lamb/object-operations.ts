import { BTREE_NODE_SIZE } from '../wire/btree.ts'
import { DEFAULT_BLOCK_SIZE_SHIFT, INODE_INDEX_END, INODE_SIZE } from '../wire/inode.ts'
import { kindOf, readOid, vidOf, type ObjectId } from '../wire/object-id.ts'
import { Flag, ReqObj, Req, Result, RspObj, SD_HEADER_SIZE } from '../wire/sd-proto.ts'
import { viewOf } from '../wire/field.ts'
import { ATTRIBUTE_SIZE } from './attribute-operations.ts'
import type { LambNode } from './node.ts'
import { isIndexRange, LEDGER_SIZE } from './references.ts'
import { oidOf, type Reply, type Request } from './request.ts'
import type { Block } from './slabs.ts'
import { trimZeros } from './trim.ts'
import { discardObject } from './vdi-delete.ts'

/** A sheep would try; so much memory is not in the lamb. */
const MAX_READ = 256 << 20

const SUCCESS: Reply = { result: Result.SUCCESS }
const NO_OBJ: Reply = { result: Result.NO_OBJ }

/** READ_OBJ: as many bytes as were asked for, whatever the object's size. */
export function readObject(node: LambNode, request: Request): Reply {
  const oid = oidOf(request)
  const offset = ReqObj.offset.get(request.header)
  const length = request.dataLength
  if (length > MAX_READ) return { result: Result.NO_MEM }
  const isRefresh = kindOf(oid) === 'inode' && offset === 0 && length === INODE_INDEX_END
  if (isRefresh) node.locks.refreshed(vidOf(oid), request.gateway)
  if (mustRefresh(node, request, oid)) return { result: Result.INODE_INVALIDATED }
  const block = node.slabs.take(SD_HEADER_SIZE + length)
  if (node.store.read(oid, offset, block.slab.memory, block.start + SD_HEADER_SIZE, length)) {
    return readReply(node, request, block)
  }
  if (node.faults.errorPayload || isErasureCoded(node, oid)) return { result: Result.NO_OBJ, block }
  node.slabs.release(block)
  return NO_OBJ
}

function readReply(node: LambNode, request: Request, block: Block): Reply {
  const { isTrimming, tellsCopies } = node.options.release
  if (!tellsCopies) return { result: Result.SUCCESS, block }
  const canTrim = isTrimming && Req.protoVer.get(request.header) >= 2
  const trimmed = canTrim ? trimZeros(block) : { block, offset: 0 }
  return {
    result: Result.SUCCESS,
    block: trimmed.block,
    fill: (view, at) => {
      RspObj.copies.set(view, node.settings.copies, at)
      RspObj.offset.set(view, trimmed.offset, at)
    },
  }
}

/** WRITE_OBJ: the object must exist. An index update is accepted even by the inode of a snapshot. */
export function writeObject(node: LambNode, request: Request): Reply {
  const oid = oidOf(request)
  const refusal = writeRefusal(node, request, oid)
  if (refusal !== Result.SUCCESS) return { result: refusal }
  const offset = ReqObj.offset.get(request.header)
  const { payload } = request
  if (kindOf(oid) !== 'inode' || !isIndexRange(offset, payload.length)) {
    return node.store.write(oid, offset, payload) ? SUCCESS : NO_OBJ
  }
  node.locks.indexUpdated(vidOf(oid), request.gateway)
  return node.references.updateIndex(vidOf(oid), offset, payload) ? SUCCESS : NO_OBJ
}

/** CREATE_AND_WRITE_OBJ: replaces the whole object. */
export function createObject(node: LambNode, request: Request): Reply {
  const oid = oidOf(request)
  const refusal = writeRefusal(node, request, oid)
  if (refusal !== Result.SUCCESS) return { result: refusal }
  const content = { offset: ReqObj.offset.get(request.header), data: request.payload }
  const isCopy = (request.flags & Flag.COW) !== 0
  const base = readOid(request.header, ReqObj.cowOidIndex.offset)
  const size = objectSize(node, oid)
  return node.store.create(oid, size, isCopy ? { ...content, base } : content) ? SUCCESS : NO_OBJ
}

/** REMOVE_OBJ: counts no references and checks nothing; for hyper volumes clients send it too. */
export function removeObject(node: LambNode, request: Request): Reply {
  return node.store.remove(oidOf(request)) ? SUCCESS : NO_OBJ
}

/** DISCARD_OBJ. */
export function discard(node: LambNode, request: Request): Reply {
  const oid = oidOf(request)
  if (node.isHalted) return { result: Result.HALT }
  node.locks.indexUpdated(vidOf(oid), request.gateway)
  return discardObject(node, vidOf(oid), oid.index) ? SUCCESS : NO_OBJ
}

/** EXIST: in the store of this very node. */
export function exist(node: LambNode, request: Request): Reply {
  return node.store.exists(oidOf(request)) ? SUCCESS : NO_OBJ
}

/** OIDS_EXIST: of the ids that came, those that are missing go back. */
export function oidsExist(node: LambNode, request: Request): Reply {
  const asked = viewOf(request.payload)
  const missing: Uint8Array[] = []
  for (let at = 0; at + 8 <= asked.byteLength; at += 8) {
    if (!node.store.exists(readOid(asked, at))) missing.push(request.payload.subarray(at, at + 8))
  }
  return { result: Result.SUCCESS, payload: Buffer.concat(missing) }
}

/** Why nothing is written; SUCCESS when something may be. */
export function writeRefusal(node: LambNode, request: Request, oid: ObjectId): number {
  // A sheep stores memory it never got, and crashes soon after (docs/sheepdog-protocol.md#1.9).
  if (request.payload.length !== request.dataLength) return Result.INVALID_PARMS
  if (node.isHalted) return Result.HALT
  if (mustRefresh(node, request, oid)) return Result.INODE_INVALIDATED
  if (kindOf(oid) !== 'data') return Result.SUCCESS
  const state = node.table.get(vidOf(oid))
  if (state?.isSnapshot === true) return Result.READONLY
  return state && node.lacksZones(state.copyPolicy) ? Result.SYSTEM_ERROR : Result.SUCCESS
}

function mustRefresh(node: LambNode, request: Request, oid: ObjectId): boolean {
  return (request.flags & Flag.TGT) !== 0 && node.locks.isInvalidated(vidOf(oid), request.gateway)
}

function isErasureCoded(node: LambNode, oid: ObjectId): boolean {
  return kindOf(oid) === 'data' && (node.table.get(vidOf(oid))?.copyPolicy ?? 0) !== 0
}

export function objectSize(node: LambNode, oid: ObjectId): number {
  switch (kindOf(oid)) {
    case 'inode':
      return INODE_SIZE
    case 'ledger':
      return LEDGER_SIZE
    case 'btree':
      return BTREE_NODE_SIZE
    case 'attribute':
      return ATTRIBUTE_SIZE
    case 'data':
    case 'vmstate':
      return 2 ** (node.table.get(vidOf(oid))?.blockSizeShift ?? DEFAULT_BLOCK_SIZE_SHIFT)
  }
}
