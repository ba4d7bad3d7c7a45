import type { NewContent, ObjectImage, ObjectStore } from '../../src/lamb/object-store.ts'
import { viewOf } from '../../src/wire/field.ts'
import { indexEntryOffset, INODE_HEADER_SIZE, INODE_INDEX_END } from '../../src/wire/inode.ts'
import { dataOid, inodeOid, kindOf, oidText, vidOf, type ObjectId } from '../../src/wire/object-id.ts'
import type { Random } from '../sheep/random.ts'
import { readStrips, stripesAround, type Strip } from './erasure-code.ts'
import { keyOf, oidOf } from './object-key.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import type { SimulatedSheep } from './simulated-sheep.ts'
import { StoredObject } from './stored-object.ts'

/** Entries of an index that a simulated VDI has at most. */
export const MOST_ENTRIES = 64
const REMOVED_ANEW = 'removal of a new object'
/** More than any simulation fills. */
const SPACE = 2 ** 40

/** A node that is to hold an object, and which strip of it. */
interface Holder {
  readonly sheep: SimulatedSheep
  readonly place: number
}

/**
 * The objects of a cluster as a gateway sees them: spread over the disks of the nodes that the ring says, each request at
 * one moment on all of them. The lamb's operations work on it as they do on files.
 */
export class SpreadStore implements ObjectStore {
  readonly #cluster: SimulatedCluster
  readonly #random: Random
  /** The gateway at work: it reads from its own disk first. */
  gateway: SimulatedSheep | undefined
  /** When objects were removed last. */
  readonly removedAt = new Map<number, number>()
  /** While a gateway dies half-way: only these nodes are reached. */
  reached: ((sheep: SimulatedSheep) => boolean) | undefined

  constructor(cluster: SimulatedCluster, random: Random) {
    this.#cluster = cluster
    this.#random = random
  }

  list(): string[] {
    return [...this.#cluster.keys()].filter((key) => this.exists(oidOf(key))).map((key) => oidText(oidOf(key)))
  }

  exists(oid: ObjectId): boolean {
    return this.#present(oid).length > 0
  }

  read(oid: ObjectId, offset: number, into: Uint8Array, at = 0, length = into.length): boolean {
    const part = into.subarray(at, at + length)
    const strips = this.#cluster.stripsOf(oid)
    const present = this.#present(oid)
    if (present.length < (strips?.data ?? 1)) this.#cluster.noticeMissing(oid)
    if (strips)
      return readStrips(
        present.map(({ strip }) => strip),
        strips.data,
        { offset, into: part },
      )
    const own = present.find(({ sheep }) => sheep === this.gateway)
    const source = own ?? (present.length > 1 ? this.#random.pick(present) : present[0])
    source?.strip.image.read(offset, part)
    return source !== undefined
  }

  write(oid: ObjectId, offset: number, data: Uint8Array): boolean {
    const holders = this.#holders(oid)
    if (holders.length === 0) return false
    if (this.#isLateUpdate(oid, offset)) this.#cluster.scar('publish lost to a snapshot')
    this.#noticeVoidEntries(oid, offset, data)
    const [from, bytes] = this.#cluster.stripsOf(oid) ? this.#wholeStripes(oid, offset, data) : [offset, data]
    this.#noticeFewZones(oid, holders)
    let isWhole = true
    for (const { sheep, place } of holders) {
      const strip = sheep.recovery.obtain(keyOf(oid), place)
      if (strip) strip.image.write(from, bytes)
      else isWhole = false
    }
    if (!isWhole) this.#cluster.noticeMissing(oid)
    return isWhole
  }

  create(oid: ObjectId, _size: number, { offset, data, base }: NewContent): boolean {
    let image = new StoredObject()
    if (base) {
      const copy = this.#copy(base)
      if (!copy) return false
      image = copy
    }
    image.write(offset, data)
    this.#put(oid, image)
    return true
  }

  replaceAll(images: readonly ObjectImage[]): void {
    for (const { oid, pieces } of images) {
      const image = new StoredObject()
      for (const { offset, bytes } of pieces) image.write(offset, bytes)
      this.#noticeLostEntries(oid, image)
      this.#cluster.noticeInode(oid, image)
      this.#put(oid, image)
    }
  }

  remove(oid: ObjectId): boolean {
    const key = keyOf(oid)
    if (this.#isInUse(oid)) this.#cluster.scar(REMOVED_ANEW, oid)
    this.removedAt.set(key, this.#cluster.agenda.now)
    const holders = this.#holders(oid)
    const had = holders.filter(({ sheep, place }) => sheep.recovery.obtain(key, place) !== undefined)
    for (const { sheep } of had) sheep.disk.objects.delete(key)
    return had.length > 0
  }

  clear(): void {
    for (const sheep of this.#cluster.sheep) sheep.disk.clear()
  }

  usedBefore(oid: ObjectId, limit: number): number {
    return Math.max(0, ...this.#present(oid).map(({ strip }) => strip.image.usedBefore(limit)))
  }

  space(): { used: number; free: number } {
    return { used: 0, free: SPACE }
  }

  #holders(oid: ObjectId): Holder[] {
    const isCoded = this.#cluster.stripsOf(oid) !== undefined
    return this.#cluster
      .holders(oid)
      .map((sheep, place) => ({ sheep, place: isCoded ? place : 0 }))
      .filter(({ sheep }) => sheep.isRunning && (this.reached?.(sheep) ?? true))
  }

  #present(oid: ObjectId): { sheep: SimulatedSheep; strip: Strip }[] {
    const key = keyOf(oid)
    const present: { sheep: SimulatedSheep; strip: Strip }[] = []
    for (const { sheep, place } of this.#holders(oid)) {
      const strip = sheep.recovery.obtain(key, place)
      if (strip) present.push({ sheep, strip })
    }
    return present
  }

  #put(oid: ObjectId, image: StoredObject): void {
    const key = keyOf(oid)
    const holders = this.#holders(oid)
    this.#noticeFewZones(oid, holders)
    for (const { sheep, place } of holders) {
      sheep.recovery.replaced(key)
      sheep.disk.objects.set(key, { place, image: image.clone() })
    }
  }

  /** Strips have nowhere to go: when nodes come back, they may be missing. */
  #noticeFewZones(oid: ObjectId, holders: readonly Holder[]): void {
    const strips = this.#cluster.stripsOf(oid)
    if (strips && holders.length < strips.data + strips.parity) this.#cluster.scar('fewer zones than strips', oid)
  }

  /** An index update of an inode that has become a snapshot: the working VDI does not get it. */
  #isLateUpdate(oid: ObjectId, offset: number): boolean {
    if (kindOf(oid) !== 'inode' || offset < INODE_HEADER_SIZE || offset >= INODE_INDEX_END) return false
    return this.#cluster.core.table.get(vidOf(oid))?.isSnapshot === true
  }

  /** An object that was removed between its creation and its publish. */
  #noticeVoidEntries(inode: ObjectId, offset: number, data: Uint8Array): void {
    if (kindOf(inode) !== 'inode' || offset < INODE_HEADER_SIZE || offset >= INODE_INDEX_END) return
    const entries = viewOf(data)
    for (let at = 0; at + 4 <= data.length; at += 4) {
      const oid = dataOid(vidOf(inode), (offset - INODE_HEADER_SIZE + at) / 4)
      const isOwn = entries.getUint32(at, true) === vidOf(inode)
      if (isOwn && this.removedAt.has(keyOf(oid)) && !this.exists(oid)) this.#cluster.scar(REMOVED_ANEW, oid)
    }
  }

  /** A snapshot writes the inode as it was read before: what was published in between is lost. */
  #noticeLostEntries(oid: ObjectId, image: StoredObject): void {
    const present = this.#present(oid)[0]?.strip.image
    if (kindOf(oid) !== 'inode' || !present) return
    const [before, after] = [new Uint32Array(MOST_ENTRIES), new Uint32Array(MOST_ENTRIES)]
    present.read(INODE_HEADER_SIZE, new Uint8Array(before.buffer))
    image.read(INODE_HEADER_SIZE, new Uint8Array(after.buffer))
    before.forEach((entry, index) => {
      if (entry !== after[index]) this.#cluster.scar('publish lost to a snapshot', dataOid(vidOf(oid), index))
    })
  }

  /** Entry `index` of the array of `vid`; NaN when its replicas do not agree, or one of them cannot be asked. */
  entry(vid: number, index: number): number {
    if (this.#cluster.holders(inodeOid(vid)).some(({ isServing }) => !isServing)) return NaN
    const entries = this.#present(inodeOid(vid)).map(({ strip }) => {
      const entry = new Uint8Array(4)
      strip.image.read(indexEntryOffset(index), entry)
      return viewOf(entry).getUint32(0, true)
    })
    const [first = 0] = entries
    return entries.every((entry) => entry === first) ? first : NaN
  }

  /** The VDI's own entry says that the object is there. */
  #isInUse(oid: ObjectId): boolean {
    return kindOf(oid) === 'data' && this.entry(vidOf(oid), oid.index) === vidOf(oid)
  }

  /** The gateway reads, changes and codes anew whole stripes. */
  #wholeStripes(oid: ObjectId, offset: number, data: Uint8Array): [number, Uint8Array] {
    if (data.length === 0) return [offset, data]
    const { start, end } = stripesAround(offset, data.length)
    const bytes = new Uint8Array(end - start)
    this.read(oid, start, bytes)
    bytes.set(data, offset - start)
    return [start, bytes]
  }

  #copy(base: ObjectId): StoredObject | undefined {
    const used = this.usedBefore(base, Infinity)
    const bytes = new Uint8Array(used)
    if (!this.read(base, 0, bytes)) return undefined
    const image = new StoredObject()
    image.write(0, bytes)
    return image
  }
}
