import { SheepfsError } from '../../errors.ts'
import type { Cluster } from '../../sheep/cluster.ts'
import { readInode } from '../../sheep/vdi-lookup.ts'
import { viewOf } from '../../wire/field.ts'
import { objectCount, OLD_BTREE_COUNTER_OFFSET, StorePolicy, type InodeHeader } from '../../wire/inode.ts'
import { SD_SHEEP_PROTO_VERS } from '../../wire/sd-proto.ts'
import { ArrayIndex } from './array-index.ts'
import { BtreeIndex } from './btree-index.ts'
import { whileMissing } from '../missing.ts'
import type { VolumeIndex } from './volume-index.ts'

/** Reads the index of an inode, whichever kind it has. Errors: stale; not-supported, a hyper volume of 0.8. */
export async function loadIndex(cluster: Cluster, header: InodeHeader): Promise<VolumeIndex> {
  const count = objectCount(header.vdiSize, header.blockSizeShift)
  if (header.storePolicy === StorePolicy.ARRAY) {
    return ArrayIndex.load(cluster, { vid: header.vdiId, copies: header.nrCopies }, count)
  }
  await refuseOldTree(cluster, header)
  return BtreeIndex.load(cluster, header.vdiId, count)
}

/**
 * Refuses a tree that 0.8 wrote, or goes on to write: it keeps the number of the next leaf elsewhere, and would take one twice. The
 * version of 0.9 is the same; an inode that came from 0.8 and was not converted has its number where 0.9 and 1.0 have references, of
 * which a tree has none.
 */
async function refuseOldTree(cluster: Cluster, { vdiId, btreeCounter }: InodeHeader): Promise<void> {
  if (cluster.protoVer === SD_SHEEP_PROTO_VERS[0]) return
  if (cluster.hasOldInodes) {
    throw new SheepfsError('not-supported', 'a hyper volume needs a cluster of sheepdog 0.9 or 1.0')
  }
  const counter = new Uint8Array(4)
  await whileMissing(cluster, (patience) =>
    readInode(cluster, { vid: vdiId, patience }, OLD_BTREE_COUNTER_OFFSET, counter),
  )
  if (viewOf(counter).getUint32(0, true) <= btreeCounter) return
  const text = `the inode of hyper volume ${vdiId.toString(16)} is one of sheepdog 0.8`
  throw new SheepfsError('not-supported', `${text}: expected one that \`dog upgrade inode-convert\` has converted`)
}
