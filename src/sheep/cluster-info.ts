import {
  getNodeList,
  parseClusterStatus,
  parseNodeList,
  parseStoreSpace,
  statCluster,
  statSheep,
  type ClusterStatus,
  type StoreSpace,
} from '../wire/info-ops.ts'
import { addrText, type NodeRecord } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'
import type { Requests } from './requests.ts'
import { expectSuccess } from './result-error.ts'

/** The nodes in (address, port) order. Errors: unreachable, timeout, io. */
export async function readNodes(cluster: Requests): Promise<NodeRecord[]> {
  const response = await cluster.query(getNodeList(cluster.protoVer))
  expectSuccess(response, 'node list')
  return parseNodeList(response)
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
    const { result, payload } = await cluster.query(statCluster(cluster.protoVer, Math.max(newest.epoch, 1), slots))
    if (result !== Result.BUFFER_SMALL) return { result, status: parseClusterStatus(payload, slots) }
    slots *= 2 // an earlier epoch had more nodes
  }
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
