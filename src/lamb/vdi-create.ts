import { erasureStrips, Inode, NAME_OFFSET, type InodeHeader } from '../wire/inode.ts'
import { vidHash } from '../wire/fnv.ts'
import { Result } from '../wire/sd-proto.ts'
import { copyLeaves } from './index-tree.ts'
import { timestamp, type Timestamp } from './cluster-file.ts'
import { InodeImage, loadInode } from './inode-image.ts'
import type { LambNode } from './node.ts'
import { inodesOf } from './vdi-lookup.ts'

/** What NEW_VDI asks for. */
export interface NewVdi {
  readonly name: Uint8Array
  readonly size: number
  /** 0: none. */
  readonly baseVid: number
  /** 0: copies and policy of the cluster. */
  readonly copies: number
  readonly copyPolicy: number
  readonly storePolicy: number
  /** 0: that of the cluster. */
  readonly blockSizeShift: number
  /** The working VDI of the name becomes a snapshot. */
  readonly isSnapshot: boolean
}

/** The new working VDI; with an error, the vid that it would have had. */
export interface CreateAnswer {
  readonly result: number
  readonly vid: number
  readonly copies: number
  readonly blockSizeShift: number
}

interface Plan extends NewVdi {
  readonly vid: number
  readonly snapId: number
  /** The working VDI that becomes a snapshot. */
  readonly current: InodeHeader | undefined
  readonly time: Timestamp
}

/**
 * NEW_VDI: a fresh VDI, a clone, a snapshot or a rebase (docs/sheepdog-protocol.md#2.2, #7). Like a sheep it marks the
 * base read-only before it reads it, and rewrites the whole inode of a snapshot: index updates that come in between are
 * lost.
 */
export async function createVdi(node: LambNode, wanted: NewVdi): Promise<CreateAnswer> {
  const spec = withDefaults(node, wanted)
  const answer = { vid: 0, copies: spec.copies, blockSizeShift: spec.blockSizeShift }
  const newest = inodesOf(node.table, node.store, spec.name)[0]
  const current = newest && !newest.isSnapshot ? newest : undefined
  if (spec.isSnapshot && !current) return { ...answer, result: Result.NO_VDI }
  if (!spec.isSnapshot && current) return { ...answer, result: Result.VDI_EXIST, vid: current.vdiId }
  if (node.isHalted) return { ...answer, result: Result.VDI_WRITE }
  const vid = node.table.freeVid(vidHash(spec.name))
  if (vid === undefined) return { ...answer, result: Result.FULL_VDI }
  const snapId = (newest?.snapId ?? 0) + 1
  const plan: Plan = {
    ...spec,
    vid,
    snapId,
    current: spec.isSnapshot ? current : undefined,
    time: timestamp(node.options.clock),
  }
  announce(node, plan)
  const result = await store(node, plan)
  if (result === Result.SUCCESS) node.table.markUsed(vid)
  return { ...answer, vid, result }
}

function withDefaults(node: LambNode, wanted: NewVdi): NewVdi {
  const { copies, copyPolicy, blockSizeShift } = node.settings
  const strips = erasureStrips(wanted.copyPolicy)
  return {
    ...wanted,
    blockSizeShift: wanted.blockSizeShift || blockSizeShift,
    copies: wanted.copies === 0 ? copies : strips ? strips.data + strips.parity : wanted.copies,
    copyPolicy: wanted.copies === 0 ? copyPolicy : wanted.copyPolicy,
  }
}

/** What NOTIFY_VDI_ADD does on every sheep: the base is a snapshot from here on, even one that does not exist. */
function announce(node: LambNode, plan: Plan): void {
  const { table, settings } = node
  const old = plan.current?.vdiId ?? plan.baseVid
  const state = table.get(old)
  if (state) state.isSnapshot = true
  else if (old !== 0) {
    table.add({
      vid: old,
      copies: settings.copies,
      copyPolicy: settings.copyPolicy,
      blockSizeShift: settings.blockSizeShift,
      parentVid: 0,
      isSnapshot: true,
      isDeleted: false,
    })
  }
  const { vid, copies, copyPolicy, blockSizeShift } = plan
  table.add({ vid, copies, copyPolicy, blockSizeShift, parentVid: old, isSnapshot: false, isDeleted: false })
}

async function store(node: LambNode, plan: Plan): Promise<number> {
  if (plan.baseVid === 0 && !plan.isSnapshot) {
    const image = newInode(plan)
    if (image.isHyper) image.startTree()
    node.store.replaceAll([image.toObject()])
    return Result.SUCCESS
  }
  const base = loadInode(node.store, plan.baseVid)
  if (!base) return Result.BASE_VDI_READ
  const image = newInode(plan, base.index.length)
  const current = plan.current?.vdiId
  if (current !== undefined) await node.faults.pauseInSnapshot()
  image.inherit(base)
  if (base.isHyper) copyLeaves(node.store, image, plan.vid)
  const images = [image.toObject(), base.toObject(plan.baseVid)]
  if (current === plan.baseVid) base.setSnapCtime(plan.time)
  else if (current !== undefined) {
    const working = loadInode(node.store, current)
    if (!working) return Result.VDI_READ
    working.setSnapCtime(plan.time)
    images.push(working.toObject(current))
  }
  node.store.replaceAll(images)
  return Result.SUCCESS
}

function newInode(plan: Plan, entries?: number): InodeImage {
  const image = new InodeImage(entries)
  const { view } = image
  image.header.set(plan.name, NAME_OFFSET)
  image.setCreateTime(plan.time)
  Inode.vdiSize.set(view, plan.size)
  Inode.copyPolicy.set(view, plan.copyPolicy)
  Inode.storePolicy.set(view, plan.storePolicy)
  Inode.nrCopies.set(view, plan.copies)
  Inode.blockSizeShift.set(view, plan.blockSizeShift)
  Inode.snapId.set(view, plan.snapId)
  Inode.vdiId.set(view, plan.vid)
  Inode.parentVdiId.set(view, plan.baseVid)
  return image
}
