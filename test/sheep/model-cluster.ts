import { setTimeout as pause } from 'node:timers/promises'
import {
  Inode,
  INODE_HEADER_SIZE,
  INODE_INDEX_END,
  indexEntryOffset,
  NAME_OFFSET,
  objectCount,
  TAG_OFFSET,
  untilNul,
} from '../../src/wire/inode.ts'
import { viewOf } from '../../src/wire/field.ts'
import { dataOid, inodeOid, kindOf, oidText, vidOf, type ObjectId } from '../../src/wire/object-id.ts'
import { Result } from '../../src/wire/sd-proto.ts'
import { toTopology, type Topology } from '../../src/sheep/topology.ts'
import { encodeNodeRecord, parseAddr, parseNodeRecords } from '../../src/wire/node-record.ts'
import { Ring } from '../../src/wire/ring.ts'
import { ModelRecovery } from './model-recovery.ts'
import { ModelReferences } from './model-references.ts'
import { SparseObject } from './sparse-object.ts'

export interface ModelNode {
  readonly port: number
  readonly zone: number
}

const HEAD_SIZE = 572

/**
 * What a cluster keeps, as far as a volume can see it: objects, which vids are snapshots, reference counts, asynchronous
 * removal. Operations are atomic, except `snapshot`. Several scripted sheep are gateways to one of these.
 */
export class ModelCluster {
  readonly #objects = new Map<string, SparseObject>()
  readonly #references = new ModelReferences()
  readonly recovery = new ModelRecovery(this.#objects)
  readonly #snapshots = new Set<number>()
  readonly #removals = new Set<string>()
  #nextVid = 0x100
  #clusterOps: Promise<unknown> = Promise.resolve()
  #seconds = 1000
  /** When it was formatted. */
  ctimeSeconds = 1_795_000_000
  epoch = 1
  flags = 0
  nodes: ModelNode[] = []
  /** How long removed objects stay readable, ms. */
  removalDelayMs: () => number = () => 0

  /** Makes a VDI; resolves with its vid. */
  createVdi(
    name: string,
    size: number,
    options: { shift?: number; copies?: number; copyPolicy?: number; storePolicy?: number } = {},
  ): number {
    const { shift = 12, copies = 1, copyPolicy = 0, storePolicy = 0 } = options
    const vid = this.#nextVid++
    const head = new Uint8Array(HEAD_SIZE)
    const view = viewOf(head)
    head.set(new TextEncoder().encode(name), NAME_OFFSET)
    Inode.createSeconds.set(view, this.#seconds++)
    Inode.vdiSize.set(view, size)
    Inode.nrCopies.set(view, copies)
    Inode.copyPolicy.set(view, copyPolicy)
    Inode.storePolicy.set(view, storePolicy)
    Inode.blockSizeShift.set(view, shift)
    Inode.snapId.set(view, 1)
    Inode.vdiId.set(view, vid)
    const inode = new SparseObject()
    inode.write(0, head)
    this.#put(inodeOid(vid), inode)
    return vid
  }

  /** The vid that a lookup gives; undefined: NO_VDI. `undefined` tag: the working VDI. */
  lookup(name: string, tag = ''): number | undefined {
    const isWanted = (vid: number): boolean => {
      const head = this.#head(vid)
      const isTagged = Buffer.from(untilNul(head.subarray(TAG_OFFSET, TAG_OFFSET + 256))).toString() === tag
      return this.nameOf(vid) === name && (tag === '' ? !this.#isSnapshotInode(vid) : isTagged)
    }
    for (let vid = this.#nextVid - 1; vid >= 0x100; vid--) if (this.has(inodeOid(vid)) && isWanted(vid)) return vid
    return undefined
  }

  nameOf(vid: number): string {
    return Buffer.from(untilNul(this.#head(vid).subarray(0, 256))).toString()
  }

  /** Runs a cluster-wide operation after those before it. */
  clusterOp<T>(operation: () => T | Promise<T>): Promise<T> {
    const result = this.#clusterOps.then(operation)
    this.#clusterOps = result.catch(() => undefined)
    return result
  }

  /**
   * Somebody takes a snapshot of the working VDI: marks it, reads its inode, and writes both inodes `gapMs` later, so
   * that index updates in between are lost (docs/sheepdog-protocol.md#5.7). Resolves with the new working vid.
   */
  snapshot(name: string, tag: string, gapMs = 0): Promise<number> {
    return this.clusterOp(async () => {
      const vid = this.lookup(name)
      if (vid === undefined) throw new Error(`no working VDI ${name}`)
      const child = this.#nextVid++
      this.#snapshots.add(vid)
      const copy = this.#inode(vid).clone()
      if (gapMs > 0) await pause(gapMs)
      this.#writeSnapshot(vid, child, copy, tag)
      return child
    })
  }

  /** Nodes come or go: what has other holders then is recovered, as `ModelRecovery.begin` says. */
  changeNodes(nodes: ModelNode[], durationMs: number, lateMs: () => number): void {
    const [before, after] = [toTestTopology(this.nodes), toTestTopology(nodes)]
    const places = (topology: Topology, oid: ObjectId): string => JSON.stringify(topology.holders(oid, 1))
    this.nodes = nodes
    this.epoch++
    this.recovery.begin((oid) => places(before, oid) !== places(after, oid), durationMs, lateMs)
  }

  /** Clones `base` under a name, without checking that it is a snapshot, as sheep does. */
  clone(base: number, name: string): number {
    const child = this.#nextVid++
    this.#snapshots.add(base)
    const parent = this.#inode(base)
    const inode = parent.clone()
    this.#share(parent, inode)
    this.#writeChildHead(inode, { child, base, name })
    this.#put(inodeOid(child), inode)
    return child
  }

  /** Deletes the working VDI: its index, its objects, its name. */
  deleteVdi(name: string): void {
    const vid = this.lookup(name)
    if (vid === undefined) throw new Error(`no working VDI ${name}`)
    const inode = this.#inode(vid)
    const count = objectCount(Inode.vdiSize.get(viewOf(this.#head(vid))), 12)
    this.updateIndex(vid, 0, new Array<number>(count).fill(0))
    inode.write(0, new Uint8Array(256))
    inode.write(Inode.vdiSize.offset, new Uint8Array(8))
  }

  has(oid: ObjectId): boolean {
    return this.#objects.has(oidText(oid))
  }

  /** Whether a removal of the object is under way: a new one would be lost (docs/sheepdog-protocol.md#5.6). */
  isRemoving(oid: ObjectId): boolean {
    return this.#removals.has(oidText(oid))
  }

  /** Removals that are under way. */
  get removing(): number {
    return this.#removals.size
  }

  /** Entry `index` of the array of `vid`. */
  entry(vid: number, index: number): number {
    return this.#inode(vid).getUint32(indexEntryOffset(index))
  }

  read(oid: ObjectId, offset: number, length: number): Uint8Array | undefined {
    this.recovery.touch(oid)
    if (this.isRemoving(oid) && this.#isErasureCoded(oid)) return undefined // some strips are gone, others are not
    return this.#objects.get(oidText(oid))?.read(offset, length)
  }

  write(oid: ObjectId, offset: number, payload: Uint8Array): number {
    if (this.#isReadOnly(oid)) return Result.READONLY
    const object = this.#objects.get(oidText(oid))
    if (!object) return Result.NO_OBJ
    this.recovery.touch(oid)
    if (kindOf(oid) === 'inode' && isIndexUpdate(offset, payload.length)) {
      const view = viewOf(payload)
      const vids = Array.from({ length: payload.length / 4 }, (_, i) => view.getUint32(4 * i, true))
      this.updateIndex(vidOf(oid), (offset - INODE_HEADER_SIZE) / 4, vids)
    } else object.write(offset, payload)
    return Result.SUCCESS
  }

  create(oid: ObjectId, offset: number, payload: Uint8Array, base?: ObjectId): number {
    if (this.#isReadOnly(oid)) return Result.READONLY
    const from = base ? this.#objects.get(oidText(base)) : new SparseObject()
    if (!from) return Result.NO_OBJ
    const object = from.clone()
    object.write(offset, payload)
    this.recovery.touch(oid)
    this.#put(oid, object)
    return Result.SUCCESS
  }

  remove(oid: ObjectId): number {
    return this.#objects.delete(oidText(oid)) ? Result.SUCCESS : Result.NO_OBJ
  }

  updateIndex(vid: number, first: number, vids: readonly number[]): void {
    for (const dropped of this.#references.update(this.#inode(vid), first, vids)) {
      this.#removeLater(dataOid(dropped.vid, dropped.index))
    }
  }

  /** All bytes of a volume, as the stored index and objects say; throws when an object is missing. */
  content(vid: number): Uint8Array {
    const head = viewOf(this.#head(vid))
    const size = Inode.vdiSize.get(head)
    const objectSize = 2 ** Inode.blockSizeShift.get(head)
    const content = new Uint8Array(size)
    for (let index = 0; index * objectSize < size; index++) {
      const owner = this.entry(vid, index)
      if (owner === 0) continue
      const start = index * objectSize
      const bytes = this.read(dataOid(owner, index), 0, Math.min(objectSize, size - start))
      if (!bytes) throw new Error(`object ${oidText(dataOid(owner, index))} of vid ${vid.toString(16)} is missing`)
      content.set(bytes, start)
    }
    return content
  }

  #writeSnapshot(vid: number, child: number, copy: SparseObject, tag: string): void {
    const inode = copy.clone()
    this.#share(copy, inode)
    const snapCtime = new Uint8Array(8)
    snapCtime[4] = 1
    copy.write(Inode.snapCtime.offset, snapCtime)
    copy.write(TAG_OFFSET, new TextEncoder().encode(tag))
    this.#put(inodeOid(vid), copy)
    this.#writeChildHead(inode, { child, base: vid, name: this.nameOf(vid) })
    this.#put(inodeOid(child), inode)
  }

  #writeChildHead(inode: SparseObject, { child, base, name }: { child: number; base: number; name: string }): void {
    const head = new Uint8Array(HEAD_SIZE)
    const view = viewOf(head)
    head.set(inode.read(0, HEAD_SIZE))
    head.fill(0, 0, 512)
    head.set(new TextEncoder().encode(name))
    head.fill(0, Inode.snapCtime.offset, Inode.snapCtime.offset + 8)
    Inode.createSeconds.set(view, this.#seconds++)
    Inode.snapId.set(view, Inode.snapId.get(view) + 1)
    Inode.vdiId.set(view, child)
    Inode.parentVdiId.set(view, base)
    inode.write(0, head)
  }

  #share(parent: SparseObject, child: SparseObject): void {
    const head = viewOf(parent.read(0, HEAD_SIZE))
    const count = objectCount(Inode.vdiSize.get(head), Inode.blockSizeShift.get(head))
    for (let index = 0; index < count; index++) this.#references.share(parent, child, index)
  }

  #removeLater(oid: ObjectId): void {
    const key = oidText(oid)
    this.#removals.add(key)
    setTimeout(() => {
      this.#removals.delete(key)
      this.#objects.delete(key)
    }, this.removalDelayMs()).unref()
  }

  #isReadOnly(oid: ObjectId): boolean {
    return kindOf(oid) === 'data' && this.#snapshots.has(vidOf(oid))
  }

  #isErasureCoded(oid: ObjectId): boolean {
    return kindOf(oid) === 'data' && Inode.copyPolicy.get(viewOf(this.#head(vidOf(oid)))) !== 0
  }

  #isSnapshotInode(vid: number): boolean {
    const view = viewOf(this.#head(vid))
    return Inode.snapCtime.high(view) !== 0
  }

  #put(oid: ObjectId, object: SparseObject): void {
    this.#objects.set(oidText(oid), object)
  }

  #inode(vid: number): SparseObject {
    const inode = this.#objects.get(oidText(inodeOid(vid)))
    if (!inode) throw new Error(`no inode ${vid.toString(16)}`)
    return inode
  }

  #head(vid: number): Uint8Array {
    return this.#inode(vid).read(0, HEAD_SIZE)
  }
}

/** Where a client finds the objects on these nodes. */
export function toTestTopology(nodes: readonly ModelNode[]): Topology {
  const records = parseNodeRecords(toRecords(nodes), nodes.length)
  return toTopology(1, records, Ring.of(records))
}

/** Nodes as sheep tell them. */
export function toRecords(nodes: readonly ModelNode[]): Uint8Array {
  const addr = parseAddr('127.0.0.1') ?? new Uint8Array(0)
  return Buffer.concat(nodes.map(({ port, zone }) => encodeNodeRecord({ addr, port, zone, nrVnodes: 128, space: 1 })))
}

/** Whether sheep takes a write to an inode for an update of its array index (docs/sheepdog-protocol.md#5.5). */
export function isIndexUpdate(offset: number, length: number): boolean {
  return offset >= INODE_HEADER_SIZE && offset + length <= INODE_INDEX_END && length > 0
}
