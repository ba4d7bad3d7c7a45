import { SheepfsError } from '../errors.ts'
import {
  EPOCH_LOG_SIZE,
  getNodeList,
  parseClusterStatus,
  parseNodeList,
  parseStoreSpace,
  statCluster,
  statSheep,
  type ClusterStatus,
  type StoreSpace,
} from '../wire/info-ops.ts'
import { addrText, MAX_NODE_LIST_SIZE, NODE_RECORD_SIZE, type NodeRecord } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'
import { parseAnswer } from './parse-answer.ts'
import type { Requests } from './requests.ts'
import { expectSuccess } from './result-error.ts'

const MOST_NODES = MAX_NODE_LIST_SIZE / NODE_RECORD_SIZE
const MOST_STATUS_BYTES = 16 << 20

/** The nodes in (address, port) order. Errors: unreachable, timeout, io. */
export async function readNodes(cluster: Requests): Promise<NodeRecord[]> {
  const response = await cluster.query(getNodeList(cluster.protoVer))
  expectSuccess(response, 'node list')
  return parseAnswer('node list', () => parseNodeList(response))
}

/**
 * The cluster's state and its epochs. `result` is the state: SUCCESS (running), WAIT_FOR_FORMAT, WAIT_FOR_JOIN, SHUTDOWN;
 * `status` is undefined when there are no records.
 */
export async function readClusterStatus(
  cluster: Requests,
): Promise<{ result: number; status: ClusterStatus | undefined }> {
  const newest = await cluster.query(statCluster(cluster.protoVer, 1, 0))
  let slots = Math.max((await readNodes(cluster)).length, 1)
  for (;;) {
    const epochs = Math.min(Math.max(newest.epoch, 1), mostEpochs(slots))
    const { result, payload } = await cluster.query(statCluster(cluster.protoVer, epochs, slots))
    if (result !== Result.BUFFER_SMALL) return { result, status: parseClusterStatus(payload, slots) }
    if (slots === MOST_NODES) throw new SheepfsError('protocol', `an epoch of more than ${MOST_NODES} nodes`)
    slots = Math.min(slots * 2, MOST_NODES) // an earlier epoch had more nodes
  }
}

/** The newest are shown where not all have room. */
function mostEpochs(slots: number): number {
  return Math.floor(MOST_STATUS_BYTES / (EPOCH_LOG_SIZE + NODE_RECORD_SIZE * slots))
}

/** Space in the store of one node, asked at its own address; undefined when it does not answer or cannot say. */
export async function readStoreSpace(cluster: Requests, node: NodeRecord): Promise<StoreSpace | undefined> {
  try {
    const response = await cluster.ask({ host: addrText(node.addr), port: node.port }, statSheep(cluster.protoVer))
    return response.result === Result.SUCCESS ? parseStoreSpace(response) : undefined
  } catch {
    return undefined // a dead node has no space; the caller shows the others
  }
}
