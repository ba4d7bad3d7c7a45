import { Opcode } from '../wire/sd-proto.ts'
import { getVdiAttribute } from './attribute-operations.ts'
import * as cluster from './cluster-operations.ts'
import type { LambNode } from './node.ts'
import { deleteCaches, flushAndDeleteCache, flushVdi, throughCache } from './object-cache.ts'
import * as objects from './object-operations.ts'
import type { Reply, Request } from './request.ts'
import { ServerOpcode } from './server-opcode.ts'
import * as vdis from './vdi-operations.ts'

/** One operation of the protocol. */
export interface Operation {
  readonly name: string
  /** Only cluster-wide operations may take their time. */
  readonly run: (node: LambNode, request: Request) => Reply | Promise<Reply>
  /** Served in every state of the cluster. */
  readonly isForced?: boolean
  /** Goes through the cluster driver: one after the other. */
  readonly isClusterWide?: boolean
}

const forced = { isForced: true } as const
const clusterWide = { isClusterWide: true } as const

/** What the lamb answers, by opcode (docs/sheepdog-protocol.md#2.1). */
export const operations: ReadonlyMap<number, Operation> = new Map<number, Operation>([
  [Opcode.CREATE_AND_WRITE_OBJ, { name: 'CREATE_AND_WRITE_OBJ', run: throughCache(objects.createObject) }],
  [Opcode.READ_OBJ, { name: 'READ_OBJ', run: throughCache(objects.readObject) }],
  [Opcode.WRITE_OBJ, { name: 'WRITE_OBJ', run: throughCache(objects.writeObject) }],
  [Opcode.REMOVE_OBJ, { name: 'REMOVE_OBJ', run: objects.removeObject }],
  [Opcode.DISCARD_OBJ, { name: 'DISCARD_OBJ', run: objects.discard }],
  [Opcode.NEW_VDI, { name: 'NEW_VDI', run: vdis.newVdi, ...clusterWide }],
  [Opcode.LOCK_VDI, { name: 'LOCK_VDI', run: vdis.lockVdi, ...clusterWide }],
  [Opcode.RELEASE_VDI, { name: 'RELEASE_VDI', run: vdis.releaseVdi, ...clusterWide }],
  [Opcode.GET_VDI_INFO, { name: 'GET_VDI_INFO', run: vdis.getVdiInfo, ...clusterWide }],
  [Opcode.READ_VDIS, { name: 'READ_VDIS', run: vdis.readVdis, ...forced }],
  [Opcode.FLUSH_VDI, { name: 'FLUSH_VDI', run: flushVdi }],
  [Opcode.DEL_VDI, { name: 'DEL_VDI', run: vdis.delVdi, ...clusterWide }],
  [Opcode.GET_CLUSTER_DEFAULT, { name: 'GET_CLUSTER_DEFAULT', run: cluster.getClusterDefault, ...forced }],
  [Opcode.GET_NODE_LIST, { name: 'GET_NODE_LIST', run: cluster.getNodeList, ...forced }],
  [ServerOpcode.MAKE_FS, { name: 'MAKE_FS', run: cluster.makeFs, ...forced, ...clusterWide }],
  [Opcode.STAT_SHEEP, { name: 'STAT_SHEEP', run: cluster.statSheep }],
  [Opcode.STAT_CLUSTER, { name: 'STAT_CLUSTER', run: cluster.statCluster, ...forced }],
  [Opcode.GET_VDI_ATTR, { name: 'GET_VDI_ATTR', run: getVdiAttribute, ...clusterWide }],
  [Opcode.STAT_RECOVERY, { name: 'STAT_RECOVERY', run: cluster.statRecovery }],
  [Opcode.FLUSH_DEL_CACHE, { name: 'FLUSH_DEL_CACHE', run: flushAndDeleteCache }],
  [Opcode.GET_VDI_COPIES, { name: 'GET_VDI_COPIES', run: vdis.getVdiCopies, ...forced }],
  [Opcode.DELETE_CACHE, { name: 'DELETE_CACHE', run: deleteCaches, ...clusterWide }],
  [Opcode.MD_INFO, { name: 'MD_INFO', run: cluster.mdInfo }],
  [Opcode.STAT, { name: 'STAT', run: cluster.stat }],
  [Opcode.EXIST, { name: 'EXIST', run: objects.exist, ...forced }],
  [Opcode.CLUSTER_INFO, { name: 'CLUSTER_INFO', run: cluster.clusterInfo, ...forced }],
  [Opcode.OIDS_EXIST, { name: 'OIDS_EXIST', run: objects.oidsExist, ...forced }],
  [ServerOpcode.INODE_COHERENCE, { name: 'INODE_COHERENCE', run: vdis.inodeCoherence, ...clusterWide }],
  [Opcode.READ_DEL_VDIS, { name: 'READ_DEL_VDIS', run: vdis.readDelVdis, ...forced }],
])
