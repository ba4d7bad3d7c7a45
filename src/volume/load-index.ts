import { SheepfsError } from '../errors.ts'
import { type Cluster } from '../sheep/cluster.ts'
import { objectCount, type InodeHeader } from '../wire/inode.ts'
import { ArrayIndex } from './array-index.ts'
import { type VolumeIndex } from './volume-index.ts'
import { StorePolicy } from './volume-layout.ts'

/** Reads the index of an inode, whichever kind it has. Errors: stale. */
export function loadIndex(cluster: Cluster, header: InodeHeader): Promise<VolumeIndex> {
  const count = objectCount(header.vdiSize, header.blockSizeShift)
  if (header.storePolicy === StorePolicy.ARRAY) return ArrayIndex.load(cluster, header.vdiId, count)
  return Promise.reject(new SheepfsError('not-supported', 'hyper volumes cannot be attached'))
}
