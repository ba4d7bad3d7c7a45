import type { ClusterInfo, Node } from '../api/schema/cluster.ts'
import type { Vdi } from '../api/schema/vdi.ts'
import { addressText } from '../sheep/address.ts'
import type { VdiSummary } from '../sheep/vdi-list.ts'
import type { ClusterReport } from '../tree/text/cluster-info-text.ts'
import { volumeName } from '../tree/volume-name.ts'
import { isSheepfsError } from '../errors.ts'
import { ClusterFlag, type StoreSpace } from '../wire/info-ops.ts'
import { copiesText, isClone, StorePolicy, type InodeHeader } from '../wire/inode.ts'
import { addrText, type NodeRecord } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'

/** A VDI or snapshot as the control API shows it. */
export function vdiJson({ header, used, shared }: VdiSummary): Vdi {
  const objectSize = 2 ** header.blockSizeShift
  return {
    volume: volumeTextOf(header),
    name: Buffer.from(header.name).toString('utf8'),
    tag: Buffer.from(header.tag).toString('utf8'),
    snapshot_id: header.isSnapshot ? header.snapId : 0,
    snapshot: header.isSnapshot,
    clone: isClone(header),
    vid: header.vdiId.toString(16),
    size: header.vdiSize,
    used: used * objectSize,
    shared: shared * objectSize,
    object_size: objectSize,
    copies: copiesText(header.nrCopies, header.copyPolicy),
    hyper: header.storePolicy !== StorePolicy.ARRAY,
    created_at: timeText(header.createSeconds),
  }
}

/** By name, the working VDI last as the newest of its chain. */
export function compareVdis(a: Vdi, b: Vdi): number {
  if (a.name !== b.name) return a.name < b.name ? -1 : 1
  if (a.snapshot !== b.snapshot) return a.snapshot ? -1 : 1
  return a.snapshot_id - b.snapshot_id
}

/** What a cluster is, and was. */
export function clusterJson({ result, status }: ClusterReport): ClusterInfo {
  const flags = status?.flags ?? 0
  return {
    ...stateJson(result),
    created_at: status ? timeText(status.ctimeSeconds) : null,
    epoch: status?.epochs[0]?.epoch ?? 0,
    copies: copiesText(status?.copies ?? 0, status?.copyPolicy ?? 0),
    store: status?.store ?? '',
    locking: (flags & ClusterFlag.LOCKING) !== 0,
    strict: (flags & ClusterFlag.STRICT) !== 0,
    auto_recovery: status !== undefined && !status.isRecoveryDisabled,
    epochs: (status?.epochs ?? []).map(({ epoch, timeSeconds, nodes }) => ({
      epoch,
      began_at: timeText(timeSeconds),
      nodes: nodes.map(nodeAddress),
    })),
  }
}

/** A sheep; without `space` it did not answer. */
export function nodeJson(node: NodeRecord, space: StoreSpace | undefined): Node {
  return {
    address: nodeAddress(node),
    zone: node.zone,
    vnodes: node.nrVnodes,
    disks: node.disks.length,
    space: space ? { total: space.size, free: space.free } : null,
  }
}

/** What the result of STAT_CLUSTER says (docs/sheepdog-protocol.md#2.2). */
function stateJson(result: number): Pick<ClusterInfo, 'state' | 'state_text'> {
  switch (result) {
    case Result.SUCCESS:
      return { state: 'running', state_text: 'running' }
    case Result.WAIT_FOR_FORMAT:
      return { state: 'unformatted', state_text: 'waiting to be formatted' }
    case Result.WAIT_FOR_JOIN:
      return { state: 'joining', state_text: 'waiting for other nodes to join' }
    case Result.SHUTDOWN:
      return { state: 'stopping', state_text: 'shutting down' }
    default:
      return { state: 'error', state_text: `result 0x${result.toString(16)}` }
  }
}

/** The name to attach it by: a snapshot's tag, or its id where it has none; null when a file cannot be named so. */
export function volumeTextOf({ name, tag, isSnapshot, snapId }: InodeHeader): string | null {
  const snapshot = tag.length > 0 ? tag : Buffer.from(String(snapId))
  try {
    return volumeName(name, isSnapshot ? snapshot : undefined).text
  } catch (error) {
    if (isSheepfsError(error)) return null
    throw error
  }
}

function nodeAddress(node: NodeRecord): string {
  return addressText({ host: addrText(node.addr), port: node.port })
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
