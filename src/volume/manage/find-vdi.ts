import { isSheepfsError, SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { isNamedBy, lookupVdi, readInodeHeader, vdiText } from '../../sheep/vdi-lookup.ts'
import type { InodeHeader } from '../../wire/inode.ts'
import type { VdiSpec } from '../../wire/vdi-ops.ts'

/** The inode that a name, tag or snapshot id means now; undefined when there is none. */
export async function findVdi(cluster: Requests, spec: VdiSpec): Promise<InodeHeader | undefined> {
  try {
    const { vid } = await lookupVdi(cluster, spec)
    const header = await readInodeHeader(cluster, vid)
    return isNamedBy(header, spec) ? header : undefined
  } catch (error) {
    if (isSheepfsError(error, 'not-found') || isSheepfsError(error, 'stale')) return undefined
    throw error
  }
}

/** The first of several meanings that is there (see `vdiSpecs` of `tree/volume-name.ts`). Errors: not-found. */
export async function requireVdi(cluster: Requests, specs: readonly VdiSpec[]): Promise<InodeHeader> {
  for (const spec of specs) {
    const header = await findVdi(cluster, spec)
    if (header) return header
  }
  const [first] = specs
  throw new SheepfsError('not-found', `${first ? vdiText(first) : 'VDI'} does not exist in the cluster`)
}

/** What names exactly this inode in a request: a tag may stand for several. */
export function specOf({ name, isSnapshot, snapId }: InodeHeader): VdiSpec {
  return isSnapshot ? { name, snapId } : { name }
}

/** For messages. */
export function headerText({ name, tag, isSnapshot, snapId }: InodeHeader): string {
  if (!isSnapshot) return vdiText({ name })
  return vdiText(tag.length > 0 ? { name, tag } : { name, snapId })
}
