import { sleep } from '../clock.ts'
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
import { addrText, NODE_RECORD_SIZE, SD_MAX_NODES, type NodeRecord } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'
import { addressText } from './address.ts'
import { breach, parseAnswer } from './parse-answer.ts'
import type { Requests } from './requests.ts'
import { expectSuccess } from './result-error.ts'

/** Room for 130 epochs of 100 nodes: more would be read, and written as text, in too long a turn. */
const MOST_STATUS_BYTES = 1 << 20
const DAY_MS = 86_400_000
/** A df(1) of all file systems waits for a node that does not answer. */
const SPACE_LIMIT_MS = 2000

/** The nodes in (address, port) order. Errors: unreachable, timeout, io, protocol. */
export async function readNodes(cluster: Requests): Promise<NodeRecord[]> {
  const response = await cluster.query(getNodeList(cluster.protoVer))
  expectSuccess(response, 'node list')
  return parseAnswer(cluster, () => parseNodeList(response))
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
    const isForAll = slots >= SD_MAX_NODES
    // a sheep of 0.7 and 0.8 writes a record into nothing smaller than one with all nodes
    const isNothing = result === Result.SUCCESS && payload.length === 0 && !isForAll
    if (result !== Result.BUFFER_SMALL && !isNothing) return { result, status: parseClusterStatus(payload, slots) }
    if (isForAll) throw breach(cluster, `an epoch of more than ${SD_MAX_NODES} nodes`)
    slots = isNothing ? SD_MAX_NODES : Math.min(slots * 2, SD_MAX_NODES) // an earlier epoch had more nodes
  }
}

/** The newest are shown where not all have room. */
function mostEpochs(slots: number): number {
  return Math.floor(MOST_STATUS_BYTES / (EPOCH_LOG_SIZE + NODE_RECORD_SIZE * slots))
}

/**
 * Nodes that stored objects in an epoch that ended within the last day, and are away now: `host:port`. None when the cluster
 * cannot tell.
 */
export async function readAbsent(cluster: Requests, nowMs: number): Promise<string[]> {
  const { status } = await readClusterStatus(cluster).catch(() => ({ status: undefined }))
  const [newest, ...former] = status?.epochs ?? []
  const texts = (nodes: readonly NodeRecord[]): string[] =>
    nodes.flatMap(({ addr, port, nrVnodes }) => (nrVnodes === 0 ? [] : [addressText({ host: addrText(addr), port })]))
  const present = new Set(texts(newest?.nodes ?? []))
  const absent = new Set<string>()
  let endedMs = 1000 * (newest?.timeSeconds ?? 0)
  for (const { nodes, timeSeconds } of former) {
    if (endedMs < nowMs - DAY_MS) break
    for (const text of texts(nodes)) if (!present.has(text)) absent.add(text)
    endedMs = 1000 * timeSeconds
  }
  return [...absent]
}

/** Space in the store of one node, asked at its own address; undefined when it does not answer soon or cannot say. */
export async function readStoreSpace(cluster: Requests, node: NodeRecord): Promise<StoreSpace | undefined> {
  const ask = async (): Promise<StoreSpace | undefined> => {
    const address = { host: addrText(node.addr), port: node.port }
    const response = await cluster.ask(address, statSheep(cluster.protoVer))
    return response.result === Result.SUCCESS ? parseStoreSpace(response) : undefined
  }
  const asked = ask().catch(() => undefined) // a dead node has no space; the caller shows the others
  return Promise.race([asked, sleep(cluster.clock, SPACE_LIMIT_MS, { isBackground: true }).then(() => undefined)])
}
