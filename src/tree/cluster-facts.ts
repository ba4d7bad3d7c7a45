import type { Address } from '../sheep/address.ts'
import { readClusterStatus, readNodes, readStoreSpace } from '../sheep/cluster-info.ts'
import type { Cluster } from '../sheep/cluster.ts'
import { listVdiHeaders, listVdis, type VdiSummary } from '../sheep/vdi-list.ts'
import type { Waiter } from '../sheep/waiter.ts'
import type { StoreSpace } from '../wire/info-ops.ts'
import type { InodeHeader } from '../wire/inode.ts'
import type { NodeRecord } from '../wire/node-record.ts'
import type { ClusterReport } from './text/cluster-info-text.ts'

/** What a tree asks its cluster. The answers may take as long as the cluster is away: the tree has its own limits. */
export interface ClusterFacts {
  status(): Promise<ClusterReport>
  /** In the order of the cluster's own list. */
  nodes(): Promise<NodeRecord[]>
  /** undefined when that node does not answer. */
  storeSpace(node: NodeRecord): Promise<StoreSpace | undefined>
  /** VDIs and snapshots by ascending vid. */
  vdis(): Promise<VdiSummary[]>
  /** As `vdis`, without counting their objects. */
  vdiHeaders(): Promise<InodeHeader[]>
  readonly addresses: readonly Address[]
  /** Errors: unreachable; the old addresses stay then. */
  setAddresses(addresses: readonly Address[], waiter: Waiter): Promise<void>
  readonly objectCache: boolean
  /** Errors: unreachable, timeout, io; the cache stays as it is then. */
  setObjectCache(isOn: boolean): Promise<void>
}

/** The facts of a cluster, asked for anew each time. */
export function factsOf(cluster: Cluster): ClusterFacts {
  return {
    status: () => readClusterStatus(cluster),
    nodes: () => readNodes(cluster),
    storeSpace: (node) => readStoreSpace(cluster, node),
    vdis: () => listVdis(cluster),
    vdiHeaders: () => listVdiHeaders(cluster),
    get addresses() {
      return cluster.addresses
    },
    setAddresses: (addresses, waiter) => cluster.setAddresses(addresses, waiter),
    get objectCache() {
      return cluster.objectCache
    },
    setObjectCache: (isOn) => cluster.setObjectCache(isOn),
  }
}
