import { type ClusterInfo, type Node } from '../api/schema/cluster.ts'
import { type Vdi } from '../api/schema/vdi.ts'
import { addressText } from '../sheep/address.ts'
import { readClusterStatus, readNodes, readStoreSpace } from '../sheep/cluster-info.ts'
import { type Cluster } from '../sheep/cluster.ts'
import { type VdiSummary } from '../sheep/vdi-list.ts'
import { isSheepfsError } from '../errors.ts'
import { volumeName } from '../tree/volume-name.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import { erasureStrips } from '../wire/inode.ts'
import { addrText, type NodeRecord } from '../wire/node-record.ts'
import { Result, resultName } from '../wire/sd-proto.ts'

/** What the control API says of a cluster. Errors: unreachable, timeout. */
export async function presentCluster(cluster: Cluster): Promise<ClusterInfo> {
  const { result, status } = await readClusterStatus(cluster)
  const flags = status?.flags ?? 0
  return {
    state: STATES.get(result) ?? 'error',
    state_text: resultName(result) ?? 'UNKNOWN',
    created_at: status ? time(status.ctimeSeconds) : null,
    epoch: status?.epochs[0]?.epoch ?? 0,
    copies: redundancyText(status?.copies ?? 0, status?.copyPolicy ?? 0),
    store: status?.store ?? '',
    locking: (flags & ClusterFlag.LOCKING) !== 0,
    strict: (flags & ClusterFlag.STRICT) !== 0,
    auto_recovery: status?.isRecoveryDisabled === false,
    epochs: (status?.epochs ?? []).map(({ epoch, timeSeconds, nodes }) => ({
      epoch,
      began_at: time(timeSeconds),
      nodes: nodes.map(nodeAddress),
    })),
  }
}

const STATES = new Map<number, ClusterInfo['state']>([
  [Result.SUCCESS, 'running'],
  [Result.WAIT_FOR_FORMAT, 'unformatted'],
  [Result.WAIT_FOR_JOIN, 'joining'],
  [Result.SHUTDOWN, 'stopping'],
])

/** Its nodes, each asked for its space. Errors: unreachable, timeout. */
export async function presentNodes(cluster: Cluster): Promise<Node[]> {
  const nodes = await readNodes(cluster)
  return Promise.all(
    nodes.map(async (node) => {
      const space = await readStoreSpace(cluster, node)
      return {
        address: nodeAddress(node),
        zone: node.zone,
        vnodes: node.nrVnodes,
        disks: node.disks.length,
        space: space ? { total: space.size, free: space.free } : null,
      }
    }),
  )
}

/** One row of `dog vdi list`. */
export function presentVdi({ header, used, shared }: VdiSummary): Vdi {
  const objectSize = 2 ** header.blockSizeShift
  const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8')
  return {
    volume: attachName(header),
    name: text(header.name),
    tag: text(header.tag),
    snapshot_id: header.isSnapshot ? header.snapId : 0,
    snapshot: header.isSnapshot,
    clone: !header.isSnapshot && header.snapId === 1 && header.parentVdiId !== 0,
    vid: header.vdiId.toString(16),
    size: header.vdiSize,
    used: used * objectSize,
    shared: shared * objectSize,
    object_size: objectSize,
    copies: redundancyText(header.nrCopies, header.copyPolicy),
    hyper: header.storePolicy !== 0,
    created_at: time(header.createSeconds),
  }
}

/** By its tag where it has one, else by its number. Not every name fits in a file name. */
function attachName({ name, tag, snapId, isSnapshot }: VdiSummary['header']): string | null {
  try {
    if (!isSnapshot) return volumeName(name).text
    return volumeName(name, tag.length > 0 ? tag : Buffer.from(String(snapId))).text
  } catch (error) {
    if (isSheepfsError(error)) return null
    throw error
  }
}

function redundancyText(copies: number, copyPolicy: number): string {
  const strips = erasureStrips(copyPolicy)
  return strips ? `${strips.data}:${strips.parity}` : String(copies)
}

function nodeAddress(node: NodeRecord): string {
  return addressText({ host: addrText(node.addr), port: node.port })
}

function time(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
