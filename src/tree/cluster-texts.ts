import { SheepfsError } from '../errors.ts'
import { askAll } from '../sheep/map-in-order.ts'
import { Result } from '../wire/sd-proto.ts'
import type { ClusterFacts } from './cluster-facts.ts'
import { clusterInfoText, stateText } from './text/cluster-info-text.ts'
import { nodeInfoText } from './text/node-info-text.ts'
import { nodeListText } from './text/node-list-text.ts'
import { vdiListText } from './text/vdi-list-text.ts'

/** What `dog cluster info` prints now. */
export async function makeClusterInfo(facts: ClusterFacts): Promise<Buffer> {
  return Buffer.from(clusterInfoText(await facts.status()))
}

/** What `dog node list` prints now. */
export async function makeNodeList(facts: ClusterFacts): Promise<Buffer> {
  return Buffer.from(nodeListText(await facts.nodes()))
}

/** What `dog node info` prints now. */
export async function makeNodeInfo(facts: ClusterFacts): Promise<Buffer> {
  const nodes = await facts.nodes()
  const answers = await askAll(nodes, (node) => facts.storeSpace(node))
  const stores = answers.filter((store) => store !== undefined)
  // a cluster whose nodes do not tell their space does not let its inodes be read either, and nothing is shown of them
  const headers = stores.length === 0 ? [] : await facts.vdiHeaders()
  const virtualSize = headers.reduce((sum, header) => sum + (header.isSnapshot ? 0 : header.vdiSize), 0)
  return Buffer.from(nodeInfoText(stores, virtualSize))
}

/**
 * What `dog vdi list` prints now. Errors: unreachable while the cluster waits for nodes or goes down. Its inodes cannot be
 * read then; dog prints an empty list and complains elsewhere.
 */
export async function makeVdiList(facts: ClusterFacts): Promise<Buffer> {
  const { result, status } = await facts.status()
  if (result !== Result.SUCCESS && result !== Result.WAIT_FOR_FORMAT) {
    throw new SheepfsError('unreachable', `the VDIs cannot be listed now: ${stateText(result, status)}`)
  }
  return vdiListText(await facts.vdis())
}
