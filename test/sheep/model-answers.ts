import { untilNul } from '../../src/wire/inode.ts'
import { EPOCH_LOG_SIZE, EpochLog } from '../../src/wire/info-ops.ts'
import { u64, viewOf } from '../../src/wire/field.ts'
import { Opcode, ReqCluster, Result, RspNode, RspVdi } from '../../src/wire/sd-proto.ts'
import { toRecords, type ModelCluster } from './model-cluster.ts'
import type { SheepRequest } from './sheep-request.ts'

const STAT_SIZE = 15 * 8
const NONE = new Uint8Array(0)

/** What a sheep answers: a result, a payload, and what it puts in the header's union. */
export interface Answer {
  readonly result: number
  readonly payload: Uint8Array
  readonly fill?: (header: DataView) => void
}

function answer(result: number, payload: Uint8Array = NONE): Answer {
  return { result, payload }
}

/** Executes a request on the model. `active`: object requests that the asked gateway executes, for STAT. */
export async function execute(model: ModelCluster, request: SheepRequest, active: number): Promise<Answer> {
  const { opcode, oid, offset, payload } = request
  switch (opcode) {
    case Opcode.READ_OBJ: {
      const bytes = model.read(oid, offset, request.dataLength)
      return bytes ? answer(Result.SUCCESS, bytes) : answer(Result.NO_OBJ)
    }
    case Opcode.WRITE_OBJ:
      return answer(model.write(oid, offset, payload))
    case Opcode.CREATE_AND_WRITE_OBJ:
      return answer(model.create(oid, offset, payload, request.base))
    case Opcode.EXIST:
      return answer(model.has(oid) ? Result.SUCCESS : Result.NO_OBJ)
    case Opcode.REMOVE_OBJ:
      return answer(model.remove(oid))
    case Opcode.GET_VDI_INFO:
      return model.clusterOp(() => vdiInfo(model, payload))
    case Opcode.GET_NODE_LIST:
      return nodeList(model)
    case Opcode.STAT_CLUSTER:
      return answer(Result.SUCCESS, epochLog(model, ReqCluster.nodesNr.get(request.header)))
    case Opcode.STAT_RECOVERY:
      return answer(Result.SUCCESS, recoveryState(model))
    case Opcode.STAT:
      return answer(Result.SUCCESS, counters(active))
    case Opcode.FLUSH_DEL_CACHE:
    case Opcode.GET_CLUSTER_DEFAULT:
      return answer(Result.SUCCESS)
    default:
      return answer(Result.INVALID_PARMS)
  }
}

function vdiInfo(model: ModelCluster, payload: Uint8Array): Answer {
  const text = (start: number): string => Buffer.from(untilNul(payload.subarray(start, start + 256))).toString()
  const vid = model.lookup(text(0), text(256))
  if (vid === undefined) return answer(Result.NO_VDI)
  return {
    ...answer(Result.SUCCESS),
    fill: (header) => {
      RspVdi.vdiId.set(header, vid)
    },
  }
}

function nodeList(model: ModelCluster): Answer {
  const { nodes } = model
  return {
    ...answer(Result.SUCCESS, toRecords(nodes)),
    fill: (header) => {
      RspNode.nrNodes.set(header, nodes.length)
    },
  }
}

function epochLog(model: ModelCluster, slots: number): Uint8Array {
  const record = new Uint8Array(EPOCH_LOG_SIZE + 80 * slots)
  const view = viewOf(record)
  EpochLog.epoch.set(view, model.epoch)
  EpochLog.nrNodes.set(view, slots === 0 ? 0 : model.nodes.length)
  EpochLog.ctimeSeconds.set(view, model.ctimeSeconds)
  EpochLog.flags.set(view, model.flags)
  record.set(toRecords(model.nodes.slice(0, slots)), EPOCH_LOG_SIZE)
  return record
}

function recoveryState({ recovery }: ModelCluster): Uint8Array {
  const state = new Uint8Array(24)
  state[0] = recovery.phase === 'none' ? 0 : 1
  state[4] = recovery.phase === 'listing' ? 0 : 1
  return state
}

function counters(active: number): Uint8Array {
  const stat = new Uint8Array(STAT_SIZE)
  u64(0).set(viewOf(stat), active)
  return stat
}
