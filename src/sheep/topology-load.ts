import { sleep, type Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { getNodeList, parseClusterStatus, parseNodeList, statCluster } from '../wire/info-ops.ts'
import { SD_MAX_NODES } from '../wire/node-record.ts'
import { Ring } from '../wire/ring.ts'
import { Result, resultName, SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { addressText } from './address.ts'
import { askInEpoch } from './ask-in-epoch.ts'
import type { Connection } from './connection.ts'
import type { ClusterFormat, KnownCluster } from './known-cluster.ts'
import { parseAnswer } from './parse-answer.ts'
import { expectSuccess, resultError } from './result-error.ts'
import { toTopology, type Topology } from './topology.ts'

/**
 * Asks which cluster it is, in the versions of 1.0, 0.9 and 0.7 until one is understood (docs/sheepdog-protocol.md#1.5).
 * A sheep that has just started does not know it yet, and says nothing. Errors: unreachable then; not-formatted,
 * not-supported.
 */
export async function loadFormat(connection: Connection): Promise<ClusterFormat> {
  const sheep = `sheep ${addressText(connection.address)}`
  for (const protoVer of SD_SHEEP_PROTO_VERS) {
    const { result, payload } = await connection.exchange(statCluster(protoVer, 1, 0))
    if (result === Result.VER_MISMATCH) continue
    if (result === Result.WAIT_FOR_FORMAT) throw resultError(result, sheep)
    const isSilent = result === Result.SUCCESS && payload.length === 0 && protoVer !== SD_SHEEP_PROTO_VERS[0]
    const old = isSilent ? await loadOldRecord(connection, protoVer) : undefined
    const record = old ?? payload
    const status = parseClusterStatus(record, 0)
    if (status === undefined || status.ctimeSeconds === 0) {
      throw new SheepfsError('unreachable', `${sheep} does not know its cluster yet (${resultName(result) ?? result})`)
    }
    return { protoVer, flags: old ? 0 : status.flags, ctime: status.ctime, hasOldInodes: old !== undefined }
  }
  throw new SheepfsError('not-supported', `${sheep} speaks none of the protocol versions of sheepdog 0.7 to 1.0`)
}

/**
 * A sheep of 0.7 and 0.8 writes a record into nothing smaller than one with all nodes, and keeps no flags. One of 0.9 that has just
 * started may know the cluster by the second question: then it has an answer to the first one. Undefined: neither knows it.
 */
async function loadOldRecord(connection: Connection, protoVer: number): Promise<Uint8Array | undefined> {
  const { payload } = await connection.exchange(statCluster(protoVer, 1, SD_MAX_NODES))
  if (payload.length === 0) return undefined
  const again = await connection.exchange(statCluster(protoVer, 1, 0))
  return again.payload.length === 0 ? payload : undefined
}

/** Reads the nodes of the present epoch. Errors: io, protocol. */
export async function loadTopology(
  connection: Connection,
  clock: Clock,
  { protoVer, isInDiskMode }: Pick<KnownCluster, 'protoVer' | 'isInDiskMode'>,
): Promise<Topology> {
  const response = await askInEpoch(connection, getNodeList(protoVer))
  expectSuccess(response, 'node list')
  const nodes = parseAnswer(connection, () => parseNodeList(response))
  const building = Ring.build(nodes, isInDiskMode)
  const first = parseAnswer(connection, () => building.next()) // which is where it is seen how large it is
  return toTopology(response.epoch, nodes, first.done === true ? first.value : await inSlices(building, clock))
}

/** The ring, with requests served in between: in disk mode it takes up to a second. */
async function inSlices<T>(building: Generator<undefined, T>, clock: Clock): Promise<T> {
  for (;;) {
    const { done, value } = building.next()
    if (done === true) return value
    await sleep(clock, 0)
  }
}
