import { SheepfsError } from '../../errors.ts'
import type { Cluster } from '../../sheep/cluster.ts'
import { objectCount, StorePolicy, type InodeHeader } from '../../wire/inode.ts'
import { SD_SHEEP_PROTO_VERS } from '../../wire/sd-proto.ts'
import { ArrayIndex } from './array-index.ts'
import { BtreeIndex } from './btree-index.ts'
import type { VolumeIndex } from './volume-index.ts'

/** Reads the index of an inode, whichever kind it has. Errors: stale; not-supported, a hyper volume of an old cluster. */
export function loadIndex(cluster: Cluster, header: InodeHeader): Promise<VolumeIndex> {
  const count = objectCount(header.vdiSize, header.blockSizeShift)
  if (header.storePolicy === StorePolicy.ARRAY) {
    return ArrayIndex.load(cluster, { vid: header.vdiId, copies: header.nrCopies }, count)
  }
  if (cluster.protoVer === SD_SHEEP_PROTO_VERS[0]) return BtreeIndex.load(cluster, header.vdiId, count)
  // 0.8 keeps btree_counter elsewhere, and cannot be told from 0.9
  return Promise.reject(new SheepfsError('not-supported', 'a hyper volume needs a cluster of sheepdog 1.0'))
}
