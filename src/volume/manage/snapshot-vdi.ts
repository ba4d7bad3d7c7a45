import { sleep } from '../../clock.ts'
import { SheepfsError } from '../../errors.ts'
import type { Requests } from '../../sheep/requests.ts'
import { expectSuccess } from '../../sheep/result-error.ts'
import { readInodeHeader, vdiText } from '../../sheep/vdi-lookup.ts'
import { SD_MAX_VDI_TAG_LEN, StorePolicy, TAG_OFFSET, type InodeHeader } from '../../wire/inode.ts'
import type { Message } from '../../wire/message.ts'
import { inodeOid } from '../../wire/object-id.ts'
import { writeObject, writeVdiSize } from '../../wire/object-ops.ts'
import { newVdi, type VdiSpec } from '../../wire/vdi-ops.ts'
import { findVdi, headerText, requireVdi } from './find-vdi.ts'
import { sendNewVdi } from './new-vdi.ts'
import { readIndex } from './read-index.ts'
import { requireSpace } from './require-space.ts'
import { vdiTextBytes } from './vdi-text.ts'

/** How often other clients may take a snapshot first. */
const ATTEMPTS = 5
const MAX_ANCESTORS = 1000
/** Another client's tag is followed by its snapshot at once; one that stays is left of an attempt that failed. */
const FOREIGN_TAG_MS = 1000
/** So long a client may take from seeing no tag to writing its own: whose tag is there afterwards is alone. */
const SETTLE_MS = 100
const FOREIGN_TAG_PAUSE_MS = 20

/**
 * Makes a snapshot of the working VDI `name`, and resolves with its inode. Errors: not-found, exists (the tag),
 * not-supported (hyper volumes), invalid, name-too-long, no-space; stale when another client took one at the same moment
 * and the VDI went back to what it was at the first of the two.
 */
export async function snapshotVdi(cluster: Requests, name: Uint8Array, tagText: string): Promise<InodeHeader> {
  const tag = vdiTextBytes('tag', tagText)
  const what = `snapshot ${vdiText({ name, tag })}`
  const taken = await findVdi(cluster, { name, tag })
  if (taken) throw new SheepfsError('exists', `${what}: the tag is taken`)
  refuseHyper(what, await requireVdi(cluster, [{ name }]))
  // asks all nodes, and may wait for a dead one: nothing that was looked up before still counts
  await requireSpace(cluster, what)
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const made = await trySnapshot(cluster, what, { name, tag })
    if (made) return made
  }
  throw new SheepfsError('busy', `${what}: other clients took snapshots first, ${ATTEMPTS} times`)
}

/**
 * Sheep makes a snapshot of whatever is the working VDI when it comes to it: if that is not the base of the request, it
 * goes back to the base (docs/sheepdog-protocol.md#7). Nothing keeps others from coming between, so this looks directly before and
 * after. Undefined: another client took the tag's place, or its snapshot came first.
 */
async function trySnapshot(
  cluster: Requests,
  what: string,
  { name, tag }: { name: Uint8Array; tag: Uint8Array },
): Promise<InodeHeader | undefined> {
  const base = await untaggedVdi(cluster, name)
  // sheep copies the tag into nothing: it has to be in the inode before that becomes a snapshot
  // (docs/sheepdog-protocol.md#7)
  await writeTag(cluster, base.vdiId, tag)
  try {
    await sleep(cluster.clock, SETTLE_MS)
    const present = await findVdi(cluster, { name })
    if (present?.vdiId === base.vdiId && Buffer.compare(present.tag, tag) === 0) {
      await sendNewVdi(
        cluster,
        what,
        () => basedOn(present, { name, isSnapshot: true }),
        () => findSnapshot(cluster, base),
      )
    }
  } catch (error) {
    await removeTag(cluster.lasting, base).catch(() => undefined) // only the first failure tells the reason
    throw error
  }
  const next = await findChild(cluster, base)
  if (next) await requireNoReturn(cluster, what, base, next)
  const snapshot = await findSnapshot(cluster, base)
  if (snapshot && next && next.vdiSize < snapshot.vdiSize) {
    // it grew after it was looked at
    expectSuccess(await cluster.change(writeVdiSize(next.vdiId, snapshot.vdiSize)), `${what}: size`)
  }
  return snapshot && Buffer.compare(snapshot.tag, tag) === 0 ? snapshot : undefined
}

/** The working VDI, when no other client is about to make a snapshot of it. Errors: not-found. */
async function untaggedVdi(cluster: Requests, name: Uint8Array): Promise<InodeHeader> {
  for (let waitedMs = 0; ; waitedMs += FOREIGN_TAG_PAUSE_MS) {
    const working = await requireVdi(cluster, [{ name }])
    if (working.tag.length === 0 || waitedMs >= FOREIGN_TAG_MS) return working
    await sleep(cluster.clock, FOREIGN_TAG_PAUSE_MS)
  }
}

/** The inode `base`, when it has become a snapshot. */
async function findSnapshot(cluster: Requests, base: InodeHeader): Promise<InodeHeader | undefined> {
  const header = await readInodeHeader(cluster, base.vdiId)
  return header.isSnapshot && isOfName(header, base) ? header : undefined
}

/** Throws stale when another inode came between `base` and `next`, which is made of it: its data are lost to the VDI. */
async function requireNoReturn(cluster: Requests, what: string, base: InodeHeader, next: InodeHeader): Promise<void> {
  if (next.snapId <= base.snapId + 1) return
  const lost = await findVdi(cluster, { name: base.name, snapId: next.snapId - 1 })
  if (!lost || lost.vdiId === base.vdiId) return
  const [working, holder] = [vdiText({ name: base.name }), headerText(lost)]
  throw new SheepfsError(
    'stale',
    `${what}: another client took one at the same moment, and ${working} went back to what it was at the first: ` +
      `what was written between the two is in the snapshot ${holder}. Clone that, or detach ${working} everywhere and ` +
      `go back to it with "sheepfsctl vdi rollback ${Buffer.from(base.name).toString()}@${lost.snapId}"`,
  )
}

/** The inode made of `base` to which the working VDI goes back. */
async function findChild(cluster: Requests, base: InodeHeader): Promise<InodeHeader | undefined> {
  let child = await findVdi(cluster, { name: base.name })
  for (let steps = 0; child && child.parentVdiId !== base.vdiId && steps < MAX_ANCESTORS; steps++) {
    if (child.vdiId === base.vdiId || child.parentVdiId === 0) return undefined
    child = await readInodeHeader(cluster, child.parentVdiId)
  }
  return child
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
  const before = await readIndex(cluster, base)
  const clone = await sendNewVdi(
    cluster,
    what,
    () => basedOn(base, { name, isSnapshot: false }),
    () => findVdi(cluster, { name }),
  )
  if (await isWhole(cluster, clone, before)) return clone
  throw new SheepfsError(
    'stale',
    `${what}: what it is of was being deleted meanwhile, and parts are missing: delete it`,
  )
}

/** False when the base, which had the index `before`, was being deleted meanwhile: zeros are where that had come to. */
export async function isWhole(cluster: Requests, made: InodeHeader, before: Uint32Array): Promise<boolean> {
  const after = await readIndex(cluster, made)
  return before.every((entry, index) => entry === 0 || after[index] !== 0)
}

/**
 * NEW_VDI takes everything from the request; other values than the base's would corrupt (docs/sheepdog-protocol.md#7).
 */
export function basedOn(base: InodeHeader, options: { name: Uint8Array; isSnapshot: boolean }): Message {
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
export function refuseHyper(what: string, { storePolicy }: InodeHeader): void {
  if (storePolicy === StorePolicy.ARRAY) return
  throw new SheepfsError('not-supported', `${what}: hyper volumes have no snapshots and no clones`)
}

function isOfName(header: InodeHeader, { name }: InodeHeader): boolean {
  return Buffer.compare(header.name, name) === 0
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
