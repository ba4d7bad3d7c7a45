import type { Reply, Request } from '../../src/lamb/request.ts'
import { u32, u64, viewOf } from '../../src/wire/field.ts'
import { EPOCH_LOG_SIZE, EpochLog } from '../../src/wire/info-ops.ts'
import { NODE_RECORD_SIZE } from '../../src/wire/node-record.ts'
import { readOid } from '../../src/wire/object-id.ts'
import { Opcode, ReqCluster, ReqObj, Result, RspNode } from '../../src/wire/sd-proto.ts'
import { keyOf } from './object-key.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import type { SimulatedSheep } from './simulated-sheep.ts'

const STAT_SIZE = 15 * 8
const RECOVERY_SIZE = 24

/** What a sheep answers of itself, and of the cluster as it knows it; undefined: any other would answer the same. */
export function ownAnswer(sheep: SimulatedSheep, request: Request): Reply | undefined {
  switch (request.opcode) {
    case Opcode.GET_NODE_LIST:
      return nodeList(sheep)
    case Opcode.STAT_CLUSTER:
      return epochLog(sheep, request)
    case Opcode.GET_CLUSTER_DEFAULT:
      return undefined
    case Opcode.EXIST:
      return exist(sheep, request)
    default:
      return sheep.isStarting ? { result: Result.WAIT_FOR_JOIN } : runningAnswer(sheep, request.opcode)
  }
}

function runningAnswer(sheep: SimulatedSheep, opcode: number): Reply | undefined {
  if (sheep.cluster.isWaiting) return undefined
  if (opcode === Opcode.STAT_RECOVERY) return { result: Result.SUCCESS, payload: recoveryState(sheep) }
  return opcode === Opcode.STAT ? { result: Result.SUCCESS, payload: counters(sheep) } : undefined
}

/** Those that have joined so far. */
function nodeList(sheep: SimulatedSheep): Reply {
  const { cluster } = sheep
  const present = cluster.isWaiting
    ? cluster.members.filter(({ isRunning }) => isRunning)
    : cluster.membersIn(sheep.epoch)
  const nodes = sheep.isStarting ? [] : present
  return {
    result: Result.SUCCESS,
    payload: cluster.records(nodes),
    fill: (view, at) => {
      RspNode.nrNodes.set(view, nodes.length, at)
    },
  }
}

/** As many epochs as there is room for, the newest first; nothing, from one that has just started. */
function epochLog(sheep: SimulatedSheep, request: Request): Reply {
  const { cluster } = sheep
  if (sheep.isStarting) return { result: Result.WAIT_FOR_JOIN }
  const slots = ReqCluster.nodesNr.get(request.header)
  const recordSize = EPOCH_LOG_SIZE + NODE_RECORD_SIZE * slots
  const count = Math.min(sheep.epoch, Math.floor(request.dataLength / recordSize))
  const payload = new Uint8Array(count * recordSize)
  for (let at = 0, epoch = sheep.epoch; at < payload.length; at += recordSize, epoch--) {
    const members = cluster.membersIn(epoch)
    if (slots > 0 && members.length > slots) return { result: Result.BUFFER_SMALL }
    writeEpoch(viewOf(payload.subarray(at)), { cluster, epoch, nodes: slots === 0 ? 0 : members.length })
    payload.set(cluster.records(members.slice(0, slots)), at + EPOCH_LOG_SIZE)
  }
  return { result: cluster.isWaiting ? Result.WAIT_FOR_JOIN : Result.SUCCESS, payload }
}

interface LoggedEpoch {
  readonly cluster: SimulatedCluster
  readonly epoch: number
  readonly nodes: number
}

function writeEpoch(view: DataView, { cluster, epoch, nodes }: LoggedEpoch): void {
  const { settings } = cluster
  u32(0).set(view, settings.ctime.nanoseconds)
  EpochLog.ctimeSeconds.set(view, settings.ctime.seconds)
  EpochLog.timeSeconds.set(view, cluster.beginOf(epoch))
  EpochLog.epoch.set(view, epoch)
  EpochLog.nrNodes.set(view, nodes)
  EpochLog.nrCopies.set(view, settings.copies)
  EpochLog.copyPolicy.set(view, settings.copyPolicy)
  EpochLog.flags.set(view, settings.flags)
}

/** On its own disks. */
function exist({ disk }: SimulatedSheep, { header }: Request): Reply {
  const isThere = disk.objects.has(keyOf(readOid(header, ReqObj.oid.offset)))
  return { result: isThere ? Result.SUCCESS : Result.NO_OBJ }
}

function recoveryState({ recovery }: SimulatedSheep): Uint8Array {
  const { phase, finished, total } = recovery.state
  const bytes = new Uint8Array(RECOVERY_SIZE)
  bytes[0] = phase === 'none' ? 0 : 1
  if (phase !== 'fetching') return bytes
  bytes[4] = 1
  u64(8).set(viewOf(bytes), finished)
  u64(16).set(viewOf(bytes), total)
  return bytes
}

function counters({ active }: SimulatedSheep): Uint8Array {
  const stat = new Uint8Array(STAT_SIZE)
  u64(0).set(viewOf(stat), active)
  return stat
}
