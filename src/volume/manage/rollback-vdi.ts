import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { readInodeHeader, vdiText } from '../../sheep/vdi-lookup.ts'
import type { InodeHeader } from '../../wire/inode.ts'
import type { VdiSpec } from '../../wire/vdi-ops.ts'
import { acquireVdiLock, releaseVdiLock } from '../vdi-lock.ts'
import { findVdi, headerText, requireVdi } from './find-vdi.ts'
import { sendNewVdi } from './new-vdi.ts'
import { readIndex } from './read-index.ts'
import { requireSpace } from './require-space.ts'
import { basedOn, isWhole, refuseHyper } from './snapshot-vdi.ts'

/**
 * Goes back to a snapshot: the next working VDI is made of it, and the present one becomes a snapshot, in one request
 * (docs/sheepdog-protocol.md#2.2, "rebase"). Deleting the working VDI first, as dog does, would lose it when the second
 * step fails. Resolves with the new working VDI, and with what the former one has become, a snapshot without a tag;
 * undefined: there was none. Errors: not-found, invalid (a working VDI), not-supported (hyper volumes), locked, no-space, stale.
 */
export async function rollbackVdi(
  cluster: Requests,
  specs: readonly VdiSpec[],
): Promise<{ working: InodeHeader; kept: InodeHeader | undefined }> {
  const base = await requireVdi(cluster, specs)
  const { name } = base
  const what = `rollback of ${vdiText({ name })} to ${headerText(base)}`
  if (!base.isSnapshot) throw new SheepfsError('invalid', `${what}: that is no snapshot; expected VDI@TAG or VDI@ID`)
  refuseHyper(what, base)
  await requireSpace(cluster, what)
  if (!(await findVdi(cluster, { name }))) return { working: await startFrom(cluster, what, base), kept: undefined }
  const lock = await acquireVdiLock(cluster, { name })
  try {
    const before = await requireVdi(cluster, [{ name }])
    const working = await startFrom(cluster, what, base, before)
    return { working, kept: await readInodeHeader(cluster, before.vdiId) }
  } finally {
    await releaseVdiLock(cluster.lasting, lock)
  }
}

async function startFrom(
  cluster: Requests,
  what: string,
  base: InodeHeader,
  before?: InodeHeader,
): Promise<InodeHeader> {
  const { name } = base
  const entries = await readIndex(cluster, base)
  const working = await sendNewVdi(
    cluster,
    what,
    () => basedOn(base, { name, isSnapshot: before !== undefined }),
    async () => {
      const present = await findVdi(cluster, { name })
      return present?.parentVdiId === base.vdiId && present.vdiId !== before?.vdiId ? present : undefined
    },
  )
  if (await isWhole(cluster, working, entries)) return working
  throw new SheepfsError('stale', `${what}: the snapshot was being deleted meanwhile, and parts are missing`)
}
