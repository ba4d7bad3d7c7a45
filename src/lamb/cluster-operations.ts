import { bytes, u16, u32, u64, u8, viewOf } from '../wire/field.ts'
import { ClusterFlag, EPOCH_LOG_SIZE, EpochLog } from '../wire/info-ops.ts'
import { DEFAULT_BLOCK_SIZE_SHIFT } from '../wire/inode.ts'
import { encodeNodeRecord, MAX_NODE_LIST_SIZE, NODE_RECORD_SIZE } from '../wire/node-record.ts'
import { ReqCluster, Result, RspClusterDefault, RspNode } from '../wire/sd-proto.ts'
import { timestamp, type ClusterSettings } from './cluster-file.ts'
import type { LambNode } from './node.ts'
import type { Reply, Request } from './request.ts'
import { fieldText } from './vdi-lookup.ts'
import { STAT_SIZE } from './statistics.ts'

const SUCCESS: Reply = { result: Result.SUCCESS }
const INVALID: Reply = { result: Result.INVALID_PARMS }
const VNODES = 128
const DEFAULT_COPIES = 3

/** struct cluster_info, 48 bytes before its node slots. */
const ClusterInfo = {
  protoVer: u8(0),
  nrNodes: u16(2),
  epoch: u32(4),
  ctimeNanoseconds: u32(8),
  ctimeSeconds: u32(12),
  flags: u16(16),
  nrCopies: u8(18),
  copyPolicy: u8(19),
  status: u8(20), // 1 running, 2 waiting
  blockSizeShift: u8(21),
  storeName: bytes(25, 16),
} as const
const CLUSTER_INFO_SIZE = 48
const RECOVERY_SIZE = 24

/** struct sd_md_info: one record for each disk, then their number. */
const MdDisk = { free: u64(8), used: u64(16), path: bytes(24, 4096) } as const
const MD_DISKS_NR = u32(64 * 4120)
const MD_INFO_SIZE = 263_688

/** GET_CLUSTER_DEFAULT: zeros before format. */
export function getClusterDefault(node: LambNode): Reply {
  const { settings } = node.cluster
  return {
    result: Result.SUCCESS,
    fill: (view, at) => {
      RspClusterDefault.nrCopies.set(view, settings?.copies ?? 0, at)
      RspClusterDefault.copyPolicy.set(view, settings?.copyPolicy ?? 0, at)
      RspClusterDefault.blockSizeShift.set(view, settings?.blockSizeShift ?? 0, at)
    },
  }
}

/** GET_NODE_LIST. A buffer that a sheep would overflow is refused. */
export function getNodeList(node: LambNode, request: Request): Reply {
  const cut = node.options.release.nodeRecordCut
  const records = nodeRecords(node)
  const payload = Buffer.concat(records.map((record) => record.subarray(cut)))
  if (request.dataLength < payload.length) return INVALID
  return {
    result: Result.SUCCESS,
    payload,
    fill: (view, at) => {
      RspNode.nrNodes.set(view, records.length, at)
    },
  }
}

/** STAT_SHEEP: what the disk has for objects. */
export function statSheep(node: LambNode): Reply {
  const { used, free } = node.store.space()
  return {
    result: Result.SUCCESS,
    fill: (view, at) => {
      RspNode.storeSize.set(view, used + free, at)
      RspNode.storeFree.set(view, free, at)
    },
  }
}

/** STAT_CLUSTER: the state as the result, and the records of the only epoch. */
export function statCluster(node: LambNode, request: Request): Reply {
  const { settings } = node.cluster
  if (!settings) return { result: node.stateResult }
  const slots = ReqCluster.nodesNr.get(request.header)
  const records = nodeRecords(node)
  if (slots > 0 && slots < records.length) return { result: Result.BUFFER_SMALL }
  const size = EPOCH_LOG_SIZE + NODE_RECORD_SIZE * slots
  if (request.dataLength < size) return { result: node.stateResult }
  const payload = new Uint8Array(size)
  const view = viewOf(payload)
  u32(0).set(view, settings.ctime.nanoseconds)
  EpochLog.ctimeSeconds.set(view, settings.ctime.seconds)
  EpochLog.timeSeconds.set(view, slots > 0 ? settings.ctime.seconds : 0)
  EpochLog.epoch.set(view, node.cluster.epoch)
  EpochLog.nrNodes.set(view, slots > 0 ? records.length : 0)
  EpochLog.nrCopies.set(view, settings.copies)
  EpochLog.copyPolicy.set(view, settings.copyPolicy)
  EpochLog.flags.set(view, settings.flags)
  EpochLog.store.get(view).set(Buffer.from(settings.storeName).subarray(0, 16))
  if (slots > 0) payload.set(Buffer.concat(records), EPOCH_LOG_SIZE)
  return { result: node.stateResult, payload }
}

/** CLUSTER_INFO: before format too. */
export function clusterInfo(node: LambNode, request: Request): Reply {
  if (request.dataLength < CLUSTER_INFO_SIZE + MAX_NODE_LIST_SIZE) return INVALID
  const payload = new Uint8Array(CLUSTER_INFO_SIZE + MAX_NODE_LIST_SIZE)
  const view = viewOf(payload)
  const records = nodeRecords(node)
  ClusterInfo.protoVer.set(view, node.options.release.internalVersion)
  ClusterInfo.nrNodes.set(view, records.length)
  ClusterInfo.epoch.set(view, node.cluster.epoch)
  ClusterInfo.status.set(view, node.stateResult === Result.SUCCESS ? 1 : 2)
  const { settings } = node.cluster
  // before format too: dog asks what kind of vnodes the sheep were started with
  ClusterInfo.flags.set(view, settings?.flags ?? ClusterFlag.AUTO_VNODES)
  if (settings) {
    ClusterInfo.ctimeNanoseconds.set(view, settings.ctime.nanoseconds)
    ClusterInfo.ctimeSeconds.set(view, settings.ctime.seconds)
    ClusterInfo.nrCopies.set(view, settings.copies)
    ClusterInfo.copyPolicy.set(view, settings.copyPolicy)
    ClusterInfo.blockSizeShift.set(view, settings.blockSizeShift)
    ClusterInfo.storeName.get(view).set(Buffer.from(settings.storeName).subarray(0, 16))
  }
  payload.set(Buffer.concat(records), CLUSTER_INFO_SIZE)
  return { result: Result.SUCCESS, payload }
}

/** MAKE_FS: formats the cluster, as `dog cluster format` asks. Vid recycling is not there. */
export function makeFs(node: LambNode, request: Request): Reply {
  const { header, payload } = request
  const flags = ReqCluster.flags.get(header)
  if ((flags & ClusterFlag.RECYCLE_VID) !== 0) return { result: Result.NO_SUPPORT }
  const settings: ClusterSettings = {
    copies: ReqCluster.copies.get(header) || DEFAULT_COPIES,
    copyPolicy: ReqCluster.copyPolicy.get(header),
    blockSizeShift: ReqCluster.blockSizeShift.get(header) || DEFAULT_BLOCK_SIZE_SHIFT,
    flags,
    ctime: timestamp(node.options.clock),
    storeName: Buffer.from(fieldText(payload)).toString() || 'plain',
  }
  node.format(settings)
  return SUCCESS
}

/** STAT_RECOVERY: nothing is ever recovered. */
export function statRecovery(_node: LambNode, request: Request): Reply {
  if (request.dataLength < RECOVERY_SIZE) return INVALID
  return { result: Result.SUCCESS, payload: new Uint8Array(RECOVERY_SIZE) }
}

/** MD_INFO: one disk. */
export function mdInfo(node: LambNode, request: Request): Reply {
  if (request.dataLength !== MD_INFO_SIZE) return INVALID
  const { used, free } = node.store.space()
  const payload = new Uint8Array(MD_INFO_SIZE)
  const view = viewOf(payload)
  MdDisk.free.set(view, free)
  MdDisk.used.set(view, used)
  MdDisk.path.get(view).set(Buffer.from(node.options.directory).subarray(0, 4095))
  MD_DISKS_NR.set(view, 1)
  return { result: Result.SUCCESS, payload }
}

/** STAT. */
export function stat(node: LambNode, request: Request): Reply {
  return request.dataLength < STAT_SIZE ? INVALID : { result: Result.SUCCESS, payload: node.statistics.toBytes() }
}

/** The first gateway stores; the others are gateways only. */
function nodeRecords(node: LambNode): Uint8Array[] {
  const { addr, ports, space, zone } = node.address
  return ports.map((port, i) =>
    encodeNodeRecord({
      addr,
      port,
      nrVnodes: i === 0 ? VNODES : 0,
      zone: zone + i,
      space: i === 0 ? space : 0,
    }),
  )
}
