import { bytes, hexOfU64, u16, u32, u64, u8, viewOf } from './field.ts'
import { newMessage, type Message, type Response } from './message.ts'
import { MAX_NODE_LIST_SIZE, NODE_RECORD_SIZE, parseNodeRecords, type NodeRecord } from './node-record.ts'
import { untilNul } from './inode.ts'
import { Opcode, Req, ReqCluster, RspClusterDefault, RspNode } from './sd-proto.ts'

/** GET_NODE_LIST, with the full buffer: a short one overflows sheep's heap. `protoVer` is the internal version. */
export function getNodeList(protoVer: number): Message {
  const message = newMessage(Opcode.GET_NODE_LIST, { wanted: MAX_NODE_LIST_SIZE })
  Req.protoVer.set(message.header, protoVer)
  return message
}

/** The nodes in (address, port) order, any record size. */
export function parseNodeList(response: Response): NodeRecord[] {
  return parseNodeRecords(response.payload, RspNode.nrNodes.get(response.header))
}

/** STAT_SHEEP: the store of the asked sheep. */
export function statSheep(protoVer: number): Message {
  const message = newMessage(Opcode.STAT_SHEEP, {})
  Req.protoVer.set(message.header, protoVer)
  return message
}

/** Size and free space of one sheep's store, bytes; both 0 on a gateway. */
export interface StoreSpace {
  readonly size: number
  readonly free: number
}

export function parseStoreSpace(response: Response): StoreSpace {
  return { size: RspNode.storeSize.get(response.header), free: RspNode.storeFree.get(response.header) }
}

/** STAT_RECOVERY: what the asked sheep still has to fetch after nodes came or went. */
export function statRecovery(protoVer: number): Message {
  const message = newMessage(Opcode.STAT_RECOVERY, { wanted: RECOVERY_STATE_SIZE })
  Req.protoVer.set(message.header, protoVer)
  return message
}

/** struct recovery_state. */
const RecoveryFields = { inRecovery: u8(0), state: u32(4), finished: u64(8), total: u64(16) } as const
const RECOVERY_STATE_SIZE = 24

/** `listing`: it asks the others which objects there are; `fetching`: it knows what it has to fetch. */
export type RecoveryPhase = 'none' | 'listing' | 'fetching'

/** How far a sheep is with its recovery, in objects. Both numbers are 0 until it is fetching. */
export interface RecoveryState {
  readonly phase: RecoveryPhase
  readonly finished: number
  readonly total: number
}

/** The answer to STAT_RECOVERY. */
export function parseRecoveryState(payload: Uint8Array): RecoveryState {
  const none: RecoveryState = { phase: 'none', finished: 0, total: 0 }
  if (payload.length < RECOVERY_STATE_SIZE) return none
  const view = viewOf(payload)
  if (RecoveryFields.inRecovery.get(view) === 0) return none
  return {
    phase: RecoveryFields.state.get(view) === 0 ? 'listing' : 'fetching',
    finished: RecoveryFields.finished.get(view),
    total: RecoveryFields.total.get(view),
  }
}

/** GET_CLUSTER_DEFAULT: INVALID_PARMS before 1.0. */
export function getClusterDefault(): Message {
  return newMessage(Opcode.GET_CLUSTER_DEFAULT, {})
}

export interface ClusterDefault {
  readonly copies: number
  readonly copyPolicy: number
  readonly blockSizeShift: number
}

export function parseClusterDefault(response: Response): ClusterDefault {
  return {
    copies: RspClusterDefault.nrCopies.get(response.header),
    copyPolicy: RspClusterDefault.copyPolicy.get(response.header),
    blockSizeShift: RspClusterDefault.blockSizeShift.get(response.header),
  }
}

/** struct epoch_log, 48 bytes before its node slots. The starred fields are only in the newest record. */
export const EpochLog = {
  ctimeSeconds: u32(4), // *
  timeSeconds: u32(8),
  epoch: u32(16),
  nrNodes: u32(20),
  disableRecovery: u8(24), // *
  nrCopies: u8(25), // *
  copyPolicy: u8(26), // *
  flags: u16(30), // *
  store: bytes(32, 16), // *
} as const
export const EPOCH_LOG_SIZE = 48

/** Flags of a cluster, as it was formatted. */
export const ClusterFlag = {
  STRICT: 0x01,
  DISK_MODE: 0x02,
  AUTO_VNODES: 0x04,
  LOCKING: 0x08,
  RECYCLE_VID: 0x10,
  AVOID_DISK_FULL: 0x20,
} as const

/** STAT_CLUSTER with room for `epochs` records of `nodes` slots each. BUFFER_SMALL: an epoch had more nodes. */
export function statCluster(protoVer: number, epochs: number, nodes: number): Message {
  const message = newMessage(Opcode.STAT_CLUSTER, { wanted: epochs * (EPOCH_LOG_SIZE + NODE_RECORD_SIZE * nodes) })
  Req.protoVer.set(message.header, protoVer)
  ReqCluster.nodesNr.set(message.header, nodes)
  return message
}

/** One epoch of a cluster's life. */
export interface Epoch {
  readonly epoch: number
  readonly timeSeconds: number
  readonly nodes: readonly NodeRecord[]
}

/** The newest record tells how the cluster was formatted, and the epochs, newest first. */
export interface ClusterStatus {
  /** When it was formatted, to the nanosecond, as 16 hex digits: no two clusters have the same. */
  readonly ctime: string
  readonly ctimeSeconds: number
  readonly isRecoveryDisabled: boolean
  readonly copies: number
  readonly copyPolicy: number
  readonly flags: number
  readonly store: string
  readonly epochs: readonly Epoch[]
}

/** Reads the records of a STAT_CLUSTER asked with `nodes` slots; undefined when there are none (never formatted). */
export function parseClusterStatus(payload: Uint8Array, nodes: number): ClusterStatus | undefined {
  const size = EPOCH_LOG_SIZE + NODE_RECORD_SIZE * nodes
  if (payload.length < size) return undefined
  const view = viewOf(payload)
  const epochs: Epoch[] = []
  for (let at = 0; at + size <= payload.length; at += size) {
    const count = Math.min(EpochLog.nrNodes.get(view, at), nodes)
    const slots = payload.subarray(at + EPOCH_LOG_SIZE, at + EPOCH_LOG_SIZE + count * NODE_RECORD_SIZE)
    epochs.push({
      epoch: EpochLog.epoch.get(view, at),
      timeSeconds: EpochLog.timeSeconds.get(view, at),
      nodes: parseNodeRecords(slots, count),
    })
  }
  return {
    ctime: hexOfU64(view, 0),
    ctimeSeconds: EpochLog.ctimeSeconds.get(view),
    isRecoveryDisabled: EpochLog.disableRecovery.get(view) !== 0,
    copies: EpochLog.nrCopies.get(view),
    copyPolicy: EpochLog.copyPolicy.get(view),
    flags: EpochLog.flags.get(view),
    store: new TextDecoder().decode(untilNul(EpochLog.store.get(view))),
    epochs,
  }
}

/** Bytes of one VDI state record. */
export const VDI_STATE_SIZE = 1428

/** struct vdi_state: what the asked sheep keeps in memory of each vid, deleted ones and snapshots included. */
export const VdiState = {
  vid: u32(0),
  nrCopies: u8(4),
  snapshot: u8(5),
  deleted: u8(6),
  copyPolicy: u8(7),
  blockSizeShift: u8(8),
  parentVid: u32(12),
  lockState: u32(16), // a LockState
  lockOwnerAddr: bytes(20, 16),
  lockOwnerPort: u16(36),
  nrParticipants: u32(60),
} as const

/** How a vid is locked: not, by one sheep for its client, or by several. */
export const LockState = { UNLOCKED: 1, LOCKED: 2, SHARED: 3 } as const

/** GET_VDI_COPIES with room for `count` records. BUFFER_SMALL: there are more. */
export function getVdiCopies(protoVer: number, count: number): Message {
  const message = newMessage(Opcode.GET_VDI_COPIES, { wanted: count * VDI_STATE_SIZE })
  Req.protoVer.set(message.header, protoVer)
  return message
}
