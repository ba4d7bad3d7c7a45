import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { expectSuccess } from '../../sheep/result-error.ts'
import { vdiText } from '../../sheep/vdi-lookup.ts'
import { SD_MAX_VDI_TAG_LEN, StorePolicy, TAG_OFFSET, type InodeHeader } from '../../wire/inode.ts'
import type { Message } from '../../wire/message.ts'
import { inodeOid } from '../../wire/object-id.ts'
import { writeObject } from '../../wire/object-ops.ts'
import { newVdi, type VdiSpec } from '../../wire/vdi-ops.ts'
import { findVdi, headerText, requireVdi } from './find-vdi.ts'
import { sendNewVdi } from './new-vdi.ts'
import { requireSpace } from './require-space.ts'
import { vdiTextBytes } from './vdi-text.ts'

/**
 * Makes a snapshot of the working VDI `name`, and resolves with its inode. Errors: not-found, exists (the tag),
 * not-supported (hyper volumes), invalid, name-too-long, no-space.
 */
export async function snapshotVdi(cluster: Requests, name: Uint8Array, tagText: string): Promise<InodeHeader> {
  const tag = vdiTextBytes('tag', tagText)
  const what = `snapshot ${vdiText({ name, tag })}`
  const taken = await findVdi(cluster, { name, tag })
  if (taken) throw new SheepfsError('exists', `${what}: the tag is taken`)
  const working = await requireVdi(cluster, [{ name }])
  refuseHyper(what, working)
  await requireSpace(cluster, what)
  // sheep copies the tag into nothing: it has to be in the inode before that becomes a snapshot
  // (docs/sheepdog-protocol.md#7)
  await writeTag(cluster, working.vdiId, tag)
  try {
    return await sendNewVdi(
      cluster,
      what,
      () => basedOn(working, { name, isSnapshot: true }),
      () => findVdi(cluster, { name, tag }),
    )
  } catch (error) {
    await removeTag(cluster.lasting, working).catch(() => undefined) // only the first failure tells the reason
    throw error
  }
}

/**
 * Makes the VDI `nameText` of a snapshot. Errors: not-found, exists, invalid (a working VDI: cloning one makes its objects
 * read-only), not-supported (hyper volumes), name-too-long.
 */
export async function cloneVdi(cluster: Requests, specs: readonly VdiSpec[], nameText: string): Promise<InodeHeader> {
  const name = vdiTextBytes('name', nameText)
  const base = await requireVdi(cluster, specs)
  const what = `clone ${vdiText({ name })} of ${headerText(base)}`
  if (!base.isSnapshot) throw new SheepfsError('invalid', `${what}: that is no snapshot; make one and clone it`)
  refuseHyper(what, base)
  const taken = await findVdi(cluster, { name })
  if (taken) throw new SheepfsError('exists', `${what}: the name is taken`)
  return sendNewVdi(
    cluster,
    what,
    () => basedOn(base, { name, isSnapshot: false }),
    () => findVdi(cluster, { name }),
  )
}

/**
 * NEW_VDI takes everything from the request; other values than the base's would corrupt (docs/sheepdog-protocol.md#7).
 */
function basedOn(base: InodeHeader, options: { name: Uint8Array; isSnapshot: boolean }): Message {
  return newVdi({
    ...options,
    baseVid: base.vdiId,
    size: base.vdiSize,
    copies: base.nrCopies,
    copyPolicy: base.copyPolicy,
    storePolicy: base.storePolicy,
    blockSizeShift: base.blockSizeShift,
  })
}

/**
 * Their trees have no reference counts: a snapshot would share objects that the next delete removes
 * (docs/sheepdog-protocol.md#4.7).
 */
function refuseHyper(what: string, { storePolicy }: InodeHeader): void {
  if (storePolicy === StorePolicy.ARRAY) return
  throw new SheepfsError('not-supported', `${what}: hyper volumes have no snapshots and no clones`)
}

/** A working VDI with a tag is an oddity that the next snapshot overwrites. */
async function removeTag(cluster: Requests, working: InodeHeader): Promise<void> {
  const present = await findVdi(cluster, { name: working.name })
  if (present?.vdiId === working.vdiId) await writeTag(cluster, working.vdiId, new Uint8Array(0))
}

async function writeTag(cluster: Requests, vid: number, tag: Uint8Array): Promise<void> {
  const field = new Uint8Array(SD_MAX_VDI_TAG_LEN)
  field.set(tag)
  expectSuccess(await cluster.change(writeObject(inodeOid(vid), TAG_OFFSET, field)), `tag of inode ${vid.toString(16)}`)
}
