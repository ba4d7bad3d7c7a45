import { SheepfsError } from '../errors.ts'
import type { Cluster } from '../sheep/cluster.ts'
import { readInodeHeader, vdiText } from '../sheep/vdi-lookup.ts'
import type { InodeHeader } from '../wire/inode.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { whileMissing } from './missing.ts'

const MAX_ANCESTORS = 10_000

/** An inode. Its vid alone does not tell which: vids are made again (docs/sheepdog-protocol.md#3.5). */
export interface InodeIdentity {
  readonly vid: number
  /** See `InodeHeader`. */
  readonly createdAt: string
}

/**
 * Whether the inode that `header` was read from is the one; if only as a snapshot that was deleted since, which has no name any
 * more.
 */
export function isInode(header: InodeHeader, { createdAt, name }: Pick<InodeHeader, 'createdAt' | 'name'>): boolean {
  const isDeletedSnapshot = header.isSnapshot && header.name.length === 0
  return header.createdAt === createdAt && (isDeletedSnapshot || Buffer.compare(header.name, name) === 0)
}

/** Whether an inode goes back to another one of its VDI: else it has other content. */
export async function isDescendant(cluster: Cluster, header: InodeHeader, former: number): Promise<boolean> {
  let { parentVdiId } = header
  for (let steps = 0; parentVdiId !== 0 && steps < MAX_ANCESTORS; steps++) {
    if (parentVdiId === former) return true
    const vid = parentVdiId
    ;({ parentVdiId } = await whileMissing(cluster, () => readInodeHeader(cluster, vid)))
  }
  return false
}

/** Looks whether an inode that a VDI had is still there, if only as a snapshot of it. Errors: stale. */
export async function checkFormer(cluster: Cluster, spec: VdiSpec, { vid, createdAt }: InodeIdentity): Promise<void> {
  const header = await whileMissing(cluster, () => readInodeHeader(cluster, vid))
  if (!isInode(header, { createdAt, name: spec.name })) throw otherVdi(spec)
}

/** Looks whether the inode that a VDI has now goes on from the one that it had. Errors: stale. */
export async function checkSuccessor(
  cluster: Cluster,
  spec: VdiSpec,
  { former, header }: { readonly former: InodeIdentity; readonly header: InodeHeader },
): Promise<void> {
  if (header.vdiId === former.vid && header.createdAt === former.createdAt) return
  if (!(await isDescendant(cluster, header, former.vid))) throw otherVdi(spec)
}

function otherVdi(spec: VdiSpec): SheepfsError {
  const text = `${vdiText(spec)} was deleted or rolled back, or its cluster is another: attach it again`
  return new SheepfsError('stale', text)
}
