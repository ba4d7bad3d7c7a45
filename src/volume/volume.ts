import { SheepfsError } from '../errors.ts'
import type { Patience } from '../sheep/outage.ts'
import { expectSuccess, resultError } from '../sheep/result-error.ts'
import { objectCount } from '../wire/inode.ts'
import { flushVdi, writeVdiSize } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { readFromObject } from './object-read.ts'
import { writeToObject } from './object-write.ts'
import { confirmUpdates } from './probe.ts'
import { allEnded } from './all-ended.ts'
import type { VolumeCore } from './volume-core.ts'
import type { InodeIdentity } from './inode-identity.ts'
import { checkLayout, maxObjects, splitRange, type ObjectPart } from './volume-layout.ts'
import { zeroRange } from './zero-range.ts'

/**
 * A VDI, or a snapshot of one, as bytes. Any position and length; requests are cut into objects and those are served in
 * parallel. Positions past the end: see each method.
 */
export class Volume {
  readonly #core: VolumeCore
  #isClosed = false
  #closing: Promise<void> | undefined
  /** The last request to grow, however it ended: two at a time could leave the smaller size in the inode. */
  #growing: Promise<void> = Promise.resolve()

  constructor(core: VolumeCore) {
    this.#core = core
  }

  /** No change is taken: a snapshot, or attached for reading. */
  get isReadOnly(): boolean {
    return this.#core.lock === undefined
  }

  /** Whether it is a snapshot, not a VDI attached for reading. */
  get isSnapshot(): boolean {
    return this.#core.header.isSnapshot
  }

  /** Others may write to it: a VDI that is attached for reading. */
  get hasOtherWriters(): boolean {
    return this.#core.hasOtherWriters
  }

  /** Whether the VDI's lock is held; never in a cluster without locking. */
  get isLocked(): boolean {
    return this.#core.lock?.owner !== undefined
  }

  /** The inode that it works on now. */
  get identity(): InodeIdentity {
    const { vdiId: vid, createdAt } = this.#core.header
    return { vid, createdAt }
  }

  /** Whether it is no more what was attached (deleted, rolled back, another cluster): nothing can be read or written any more. */
  get isStale(): boolean {
    return this.#core.failure !== undefined
  }

  /** The inode in use; another one after somebody took a snapshot. */
  get vid(): number {
    return this.#core.vid
  }

  /** Bytes. */
  get size(): number {
    return this.#core.header.vdiSize
  }

  /** Bytes of an object: the unit of allocation. */
  get objectSize(): number {
    return this.#core.objectSize
  }

  /** Bytes of the objects that are allocated, inherited ones included. */
  get allocatedBytes(): number {
    return this.#core.index.allocated * this.objectSize
  }

  /** Since when nothing has changed and nothing ever will, ms since 1970: of snapshots only. */
  get fixedMs(): number | undefined {
    return this.isSnapshot ? this.#core.header.snapshotMs : undefined
  }

  /**
   * Fills `into` from `position` and resolves with the number of bytes: fewer only at the end, 0 past it. Errors: stale,
   * io; unreachable when the cluster may not be waited for any longer.
   */
  async read(position: number, into: Uint8Array): Promise<number> {
    this.#check()
    const length = Math.max(0, Math.min(into.length, this.size - position))
    const parts = splitRange(position, length, this.objectSize)
    const looked = this.#core.look()
    looked.catch(() => undefined) // told when the data are here
    await this.#core.request((patience) => {
      const read = (part: ObjectPart): Promise<void> =>
        readFromObject(this.#core, part, into.subarray(part.at, part.at + part.length), patience)
      const [only] = parts
      return only && parts.length === 1 ? read(only) : allEnded(parts.map(read)).then(() => undefined)
    })
    await looked
    return length
  }

  /**
   * Writes `data` at `position`. Resolves when it is on the cluster, with the number of bytes: fewer where the volume
   * ends. Errors: no-space when none fits, read-only, stale, io.
   */
  async write(position: number, data: Uint8Array): Promise<number> {
    this.#checkWritable()
    if (data.length === 0) return 0
    const length = Math.min(data.length, this.size - position)
    if (length <= 0) throw new SheepfsError('no-space', `${this.#core.text} ends at ${this.size} bytes`)
    const parts = splitRange(position, length, this.objectSize)
    await this.#core.request((patience) =>
      allEnded(
        parts.map((part) => writeToObject(this.#core, part, data.subarray(part.at, part.at + part.length), patience)),
      ),
    )
    return length
  }

  /**
   * Makes sure that what was acknowledged stays: looks whether a snapshot was taken since something was published, and
   * flushes the gateway's object cache where one is in use.
   */
  async sync(): Promise<void> {
    this.#check()
    if (this.isReadOnly) return
    await this.#core.request(async (patience) => {
      if (!this.#core.updates.areConfirmed()) {
        await confirmUpdates(this.#core, patience)
        await this.#core.checkAlive(patience)
      } else await this.#core.look()
      if (this.#core.cluster.objectCache) await this.#flushCache(patience)
    })
  }

  /** Makes a range read as zeros, giving whole objects back to the cluster. What lies past the end is left out. */
  async zero(position: number, length: number): Promise<void> {
    this.#checkWritable()
    const inside = Math.min(length, this.size - position)
    if (inside <= 0) return
    await zeroRange(this.#core, position, inside)
  }

  /**
   * The next position at or after `position` that is allocated (data) or not (hole). The end is a hole. Errors: past-end
   * when `position` is past the end, or no data follows.
   */
  async seek(position: number, wanted: 'data' | 'hole'): Promise<number> {
    this.#check()
    const { size, objectSize } = this
    if (position < size) {
      const { index, readerLook } = this.#core
      const entries = this.hasOtherWriters ? readerLook : index
      const found = (await entries.next(Math.floor(position / objectSize), wanted)) * objectSize
      if (found < size) return Math.max(found, position)
      if (wanted === 'hole') return size
    }
    throw new SheepfsError('past-end', `${this.#core.text}: no ${wanted} from ${position} on`)
  }

  /** Makes the VDI larger, in the cluster. Errors: not-permitted when it would be smaller, too-large, read-only. */
  grow(size: number): Promise<void> {
    const growing = this.#core.request((patience) => this.#growing.then(() => this.#growNow(size, patience)))
    this.#growing = growing.catch(() => undefined) // told to who asked for it
    return growing
  }

  async #growNow(size: number, patience: Patience): Promise<void> {
    this.#checkWritable()
    const { header, text } = this.#core
    if (size === this.size) return
    const { vid } = this
    const { vdiSize, isSnapshot } = await this.#core.checkAlive(patience) // another client may have made it larger
    if (isSnapshot) {
      await this.#core.recover(vid)
      return this.#growNow(size, patience)
    }
    if (size < Math.max(this.size, vdiSize)) {
      throw new SheepfsError('not-permitted', `${text} has ${vdiSize} bytes and cannot be made smaller`)
    }
    const count = objectCount(size, header.blockSizeShift)
    if (!Number.isSafeInteger(size) || count > maxObjects(header.storePolicy)) {
      throw new SheepfsError('too-large', `${text}: ${size} bytes are more than its index can address`)
    }
    const isSent = await this.#core.update(vid, async () => {
      expectSuccess(await this.#core.cluster.change(writeVdiSize(vid, size), { patience }), `${text}: grow`)
      this.#adoptSize(size)
    })
    if (!isSent) return this.#growNow(size, patience)
    await confirmUpdates(this.#core, patience)
  }

  /**
   * Looks what others have done to the VDI: adopts a larger size, goes over to the new inode after a snapshot. Attached for
   * reading, a VDI that others may write to is read as it is now from then on. Resolves with true when the size changed.
   * Errors: stale.
   */
  async refresh(): Promise<boolean> {
    this.#check()
    const { vid } = this.#core
    const before = this.size
    const wasSnapshot = this.#core.header.isSnapshot
    const header = await this.#core.checkAlive()
    if (this.isReadOnly && !wasSnapshot) await this.#core.readerLook.refresh(header)
    else if (header.isSnapshot && !wasSnapshot) await this.#core.recover(vid)
    else if (vid === this.vid) this.#adoptSize(header.vdiSize)
    return this.size !== before
  }

  /** Flushes and lets go of the VDI. What is in flight is finished by the caller before. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { cluster, failure, lock } = this.#core
    try {
      if (!failure) await this.sync()
      if (cluster.objectCache && lock) await this.#emptyCaches()
    } finally {
      this.#isClosed = true
      this.#core.removals.end()
      await lock?.release()
    }
  }

  /** Throws too-large. */
  #adoptSize(size: number): void {
    const { header, index, text } = this.#core
    if (size <= header.vdiSize) return
    checkLayout({ ...header, vdiSize: size }, text)
    index.grow(objectCount(size, header.blockSizeShift))
    this.#core.adopt({ index, header: { ...header, vdiSize: size } })
  }

  /** All of it is on the cluster: only whoever uses the VDI next could read old data from what stays. */
  async #emptyCaches(): Promise<void> {
    const { cluster, log, text } = this.#core
    await cluster.emptyObjectCaches(this.vid).catch((error: unknown) => {
      log.warn({ err: error }, `${text}: the object caches could not be emptied`)
    })
  }

  async #flushCache(patience: Patience): Promise<void> {
    const { result } = await this.#core.cluster.change(flushVdi(this.vid), { patience })
    if (result === Result.SUCCESS) return
    if (result !== Result.INVALID_PARMS) throw resultError(result, `${this.#core.text}: flush`)
    this.#core.cluster.giveUpObjectCache()
    this.#core.log.warn('the cluster has no object cache: object_cache is switched off')
  }

  #check(): void {
    if (this.#core.failure) throw this.#core.failure
    if (this.#isClosed) throw new SheepfsError('stale', `${this.#core.text} was detached`)
  }

  #checkWritable(): void {
    this.#check()
    if (this.isReadOnly) throw new SheepfsError('read-only', `${this.#core.text} is attached for reading only`)
  }
}
