import type { LambNode } from './node.ts'
import { createVdi } from './vdi-create.ts'
import { readInodeHeader } from './vdi-lookup.ts'

/** Takes a snapshot of a working VDI as another client would. Anything but a working VDI stays as it is. */
export async function snapshotByOther(node: LambNode, vid: number): Promise<void> {
  const inode = readInodeHeader(node.store, vid)
  if (!inode || inode.isSnapshot) return
  await node.inClusterQueue(() =>
    createVdi(node, {
      name: inode.name,
      size: inode.vdiSize,
      baseVid: vid,
      copies: inode.nrCopies,
      copyPolicy: inode.copyPolicy,
      storePolicy: inode.storePolicy,
      blockSizeShift: inode.blockSizeShift,
      isSnapshot: true,
    }),
  )
}
