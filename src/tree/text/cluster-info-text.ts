import { ClusterFlag, type ClusterStatus, type Epoch } from '../../wire/info-ops.ts'
import { addrText, type NodeRecord } from '../../wire/node-record.ts'
import { Result } from '../../wire/sd-proto.ts'
import { ctimeText, secondText } from './time-text.ts'

/** The state of a cluster as STAT_CLUSTER answers it: a result code, and records unless it was never formatted. */
export interface ClusterReport {
  readonly result: number
  readonly status: ClusterStatus | undefined
}

/** `dog cluster info`. */
export function clusterInfoText({ result, status }: ClusterReport): string {
  const head = `Cluster status: ${stateText(result, status)}\n\n`
  if (status === undefined) return head
  const isDiskMode = (status.flags & ClusterFlag.DISK_MODE) !== 0
  const epochs = status.epochs.map((epoch) => epochRow(epoch, isDiskMode))
  return (
    `${head}Cluster created at ${ctimeText(status.ctimeSeconds)}\n\n` +
    `Epoch Time           Version [Host:Port:V-Nodes,,,]\n${epochs.join('')}`
  )
}

/** What dog says of a cluster that is in the state of a result code. */
export function stateText(result: number, status: ClusterStatus | undefined): string {
  switch (result) {
    case Result.SUCCESS:
      return `running, auto-recovery ${status?.isRecoveryDisabled === true ? 'disabled' : 'enabled'}`
    case Result.WAIT_FOR_FORMAT:
      return 'Waiting for cluster to be formatted'
    case Result.WAIT_FOR_JOIN:
      return 'Waiting for other nodes to join cluster'
    case Result.SHUTDOWN:
      return 'System is shutting down'
    default:
      return 'System error'
  }
}

function epochRow(epoch: Epoch, isDiskMode: boolean): string {
  const nodes = epoch.nodes.map((node) => nodeText(node, isDiskMode)).join(', ')
  return `${secondText(epoch.timeSeconds)} ${String(epoch.epoch).padStart(6)} [${nodes}]\n`
}

function nodeText(node: NodeRecord, isDiskMode: boolean): string {
  const text = `${addrText(node.addr)}:${node.port}:${node.nrVnodes}`
  return isDiskMode ? `${text}(${node.disks.length})` : text
}
