import { viewOf } from '../wire/field.ts'
import { LockState, VDI_STATE_SIZE, VdiState } from '../wire/info-ops.ts'
import { erasureStrips, SD_MAX_VDI_LEN, SD_MAX_VDI_TAG_LEN } from '../wire/inode.ts'
import { u16, u32 } from '../wire/field.ts'
import { ReqVdi, Result, RspVdi } from '../wire/sd-proto.ts'
import { VDI_BITMAP_SIZE, type VdiAnswer } from '../wire/vdi-ops.ts'
import type { VdiLock } from './locks.ts'
import type { LambNode } from './node.ts'
import type { Reply, Request } from './request.ts'
import { ServerOpcode } from './server-opcode.ts'
import { createVdi } from './vdi-create.ts'
import { deleteVdi } from './vdi-delete.ts'
import { fieldText, lookupVdi, type VdiName } from './vdi-lookup.ts'
import type { VdiEntry } from './vdi-table.ts'

const INVALID: Reply = { result: Result.INVALID_PARMS }
const SUCCESS: Reply = { result: Result.SUCCESS }

/** struct vdi_state's participants: a state and a node id each. */
const PARTICIPANT_STATES = 64
const PARTICIPANT_IDS = 188
const NODE_ID_SIZE = 40
const LOCK_OWNER = 20

/** NEW_VDI: the payload is a name, exactly 256 bytes. */
export async function newVdi(node: LambNode, request: Request): Promise<Reply> {
  const { header, payload } = request
  if (payload.length !== SD_MAX_VDI_LEN) return INVALID
  const copies = ReqVdi.copies.get(header)
  const copyPolicy = ReqVdi.copyPolicy.get(header)
  // A sheep aborts on a policy without parity (docs/sheepdog-protocol.md#1.9).
  if (copies !== 0 && erasureStrips(copyPolicy)?.parity === 0) return INVALID
  const answer = await createVdi(node, {
    name: fieldText(payload),
    size: ReqVdi.vdiSize.get(header),
    baseVid: ReqVdi.baseVdiId.get(header),
    copies,
    copyPolicy,
    storePolicy: ReqVdi.storePolicy.get(header),
    blockSizeShift: ReqVdi.blockSizeShift.get(header),
    isSnapshot: ReqVdi.snapId.get(header) !== 0,
  })
  return vdiReply(answer.result, answer)
}

/** GET_VDI_INFO: name, or name and tag. */
export function getVdiInfo(node: LambNode, request: Request): Reply {
  const wanted = nameIn(request)
  return wanted ? lookupReply(node, wanted) : INVALID
}

/** LOCK_VDI: a lookup, and the lock when the cluster has locking. */
export function lockVdi(node: LambNode, request: Request): Reply {
  const wanted = nameIn(request)
  if (!wanted) return INVALID
  const found = lookupVdi(node.table, node.store, wanted)
  if (!found.inode || !node.hasLocking) return lookupReply(node, wanted)
  const { vdiId: vid, nrCopies: copies, blockSizeShift } = found.inode
  const isLocked = node.locks.lock(vid, ReqVdi.type.get(request.header), request.gateway)
  return vdiReply(isLocked ? Result.SUCCESS : Result.VDI_LOCKED, { vid, copies, blockSizeShift })
}

/** RELEASE_VDI: always succeeds. */
export function releaseVdi(node: LambNode, request: Request): Reply {
  const { header, gateway } = request
  node.locks.release(ReqVdi.baseVdiId.get(header), ReqVdi.type.get(header), gateway)
  return SUCCESS
}

/** DEL_VDI: the answer names the deleted vid. */
export function delVdi(node: LambNode, request: Request): Reply {
  const wanted = nameIn(request)
  if (!wanted) return INVALID
  const found = lookupVdi(node.table, node.store, wanted)
  if (!found.inode) return { result: found.result }
  deleteVdi(node, found.inode)
  return vdiReply(Result.SUCCESS, { vid: found.inode.vdiId, copies: 0, blockSizeShift: 0 })
}

/** READ_VDIS. */
export function readVdis(node: LambNode, request: Request): Reply {
  return bitmapReply(node.table.inUse, request)
}

/** READ_DEL_VDIS. */
export function readDelVdis(node: LambNode, request: Request): Reply {
  return bitmapReply(node.table.deleted, request)
}

/** GET_VDI_COPIES: one record for each vid. */
export function getVdiCopies(node: LambNode, request: Request): Reply {
  const states = node.table.list()
  const payload = new Uint8Array(states.length * VDI_STATE_SIZE)
  if (request.dataLength < payload.length) return { result: Result.BUFFER_SMALL }
  const view = viewOf(payload)
  states.forEach((state, i) => {
    const at = i * VDI_STATE_SIZE
    encodeState(view, at, state)
    encodeLock(node, view, at, node.locks.get(state.vid))
  })
  return { result: Result.SUCCESS, payload }
}

/**
 * INODE_COHERENCE: where all sheep of a real cluster would abort, the lamb only refuses (docs/sheepdog-protocol.md#6.4).
 */
export function inodeCoherence(node: LambNode, request: Request): Reply {
  const vid = u32(16).get(request.header)
  if (!node.table.get(vid)) return { result: Result.NO_VDI }
  if (node.locks.get(vid)?.type === 'shared') return SUCCESS
  node.options.logger.error({ opcode: ServerOpcode.INODE_COHERENCE, vid }, 'this request would abort every real sheep')
  return INVALID
}

/** What a name and tag payload says; undefined for a wrong length. */
function nameIn(request: Request): VdiName | undefined {
  const { header, payload } = request
  const isWhole = payload.length === SD_MAX_VDI_LEN || payload.length === SD_MAX_VDI_LEN + SD_MAX_VDI_TAG_LEN
  if (!isWhole) return undefined
  return {
    name: fieldText(payload.subarray(0, SD_MAX_VDI_LEN)),
    tag: fieldText(payload.subarray(SD_MAX_VDI_LEN)),
    snapId: ReqVdi.snapId.get(header),
  }
}

function lookupReply(node: LambNode, wanted: VdiName): Reply {
  const { result, inode } = lookupVdi(node.table, node.store, wanted)
  if (!inode) return { result }
  return vdiReply(result, { vid: inode.vdiId, copies: inode.nrCopies, blockSizeShift: inode.blockSizeShift })
}

function vdiReply(result: number, { vid, copies, blockSizeShift }: VdiAnswer): Reply {
  return {
    result,
    fill: (view, at) => {
      RspVdi.vdiId.set(view, vid, at)
      RspVdi.copies.set(view, copies, at)
      RspVdi.blockSizeShift.set(view, blockSizeShift, at)
    },
  }
}

function bitmapReply(bitmap: Uint8Array, request: Request): Reply {
  return request.dataLength === VDI_BITMAP_SIZE ? { result: Result.SUCCESS, payload: bitmap } : INVALID
}

function encodeState(view: DataView, at: number, state: VdiEntry): void {
  VdiState.vid.set(view, state.vid, at)
  VdiState.nrCopies.set(view, state.copies, at)
  VdiState.snapshot.set(view, Number(state.isSnapshot), at)
  VdiState.deleted.set(view, Number(state.isDeleted), at)
  VdiState.copyPolicy.set(view, state.copyPolicy, at)
  VdiState.blockSizeShift.set(view, state.blockSizeShift, at)
  VdiState.parentVid.set(view, state.parentVid, at)
  VdiState.lockState.set(view, LockState.UNLOCKED, at)
}

function encodeLock(node: LambNode, view: DataView, at: number, lock: VdiLock | undefined): void {
  if (lock?.type === 'normal') {
    VdiState.lockState.set(view, LockState.LOCKED, at)
    encodeNodeId(node, view, at + LOCK_OWNER, lock.owner)
  } else if (lock?.type === 'shared') {
    VdiState.lockState.set(view, LockState.SHARED, at)
    VdiState.nrParticipants.set(view, lock.participants.length, at)
    lock.participants.forEach(({ gateway, state }, i) => {
      u32(PARTICIPANT_STATES + 4 * i).set(view, state, at)
      encodeNodeId(node, view, at + PARTICIPANT_IDS + NODE_ID_SIZE * i, gateway)
    })
  }
}

function encodeNodeId(node: LambNode, view: DataView, at: number, gateway: number): void {
  const { addr, ports } = node.address
  new Uint8Array(view.buffer, view.byteOffset + at, addr.length).set(addr)
  u16(addr.length).set(view, ports[gateway] ?? 0, at)
}
