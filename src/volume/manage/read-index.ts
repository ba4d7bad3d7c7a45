import type { Requests } from '../../sheep/requests.ts'
import { readInode } from '../../sheep/vdi-lookup.ts'
import { indexEntryOffset, MAX_DATA_OBJS, objectCount, type InodeHeader } from '../../wire/inode.ts'

/** Reads the index of an array volume: the entries that its size needs, or so many from `first` on. */
export async function readIndex(
  cluster: Requests,
  { vdiId, vdiSize, blockSizeShift }: InodeHeader,
  first = 0,
  count = Math.min(MAX_DATA_OBJS, objectCount(vdiSize, blockSizeShift)),
): Promise<Uint32Array> {
  const entries = new Uint32Array(count)
  await readInode(cluster, { vid: vdiId }, indexEntryOffset(first), new Uint8Array(entries.buffer))
  return entries
}
