import { isSheepfsError, SheepfsError, type ErrorCode } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Cluster } from '../sheep/cluster.ts'
import { readInodeHeader, vdiText } from '../sheep/vdi-lookup.ts'
import { erasureStrips, type InodeHeader } from '../wire/inode.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { whileMissing } from './missing.ts'
import { RangeLocks } from './range-locks.ts'
import { Removals } from './removals.ts'
import { recoverFromSnapshot } from './snapshot-recovery.ts'
import type { VdiLock } from './vdi-lock.ts'
import type { VolumeIndex } from './volume-index.ts'

/**
 * Erasure-coded objects are read, changed and written back by the gateway in units of this
 * (docs/sheepdog-protocol.md#10).
 */
const STRIPE_SIZE = 512

/** Ends of going over to another inode that no later try can change. */
const FINAL = new Set<ErrorCode>(['stale', 'locked', 'not-supported', 'too-large'])

/** The inode a volume works on at the moment, and its index. Replaced together when the VDI gets another inode. */
export interface Incarnation {
  readonly header: InodeHeader
  readonly index: VolumeIndex
}

/**
 * What the parts of a volume share: its present inode, the order of changes, and the way through a snapshot taken by
 * somebody else. While that is under way nothing that changes the VDI is sent.
 */
export class VolumeCore {
  readonly cluster: Cluster
  readonly spec: VdiSpec
  readonly log: Logger
  readonly locks = new RangeLocks()
  readonly removals: Removals
  /** Held while the volume may be written to; undefined when it is attached for reading. */
  lock: VdiLock | undefined
  readonly onLock: () => void
  /** The lock of the inode that comes next, when it was taken and going over to it failed. */
  nextLock: VdiLock | undefined
  /** Changes of the inode acknowledged so far, and how many of them are known not to have been lost to a snapshot. */
  updates = 0
  confirmedUpdates = 0
  #incarnation: Incarnation
  #recovering: Promise<void> | undefined
  #failure: SheepfsError | undefined
  #sending = 0
  #onDrained: (() => void) | undefined

  constructor(options: {
    cluster: Cluster
    spec: VdiSpec
    incarnation: Incarnation
    lock: VdiLock | undefined
    /** Called when `lock` is another. */
    onLock?: (() => void) | undefined
    log: Logger
  }) {
    this.lock = options.lock
    this.onLock = options.onLock ?? (() => undefined)
    this.cluster = options.cluster
    this.removals = new Removals(options.cluster, () => this.header)
    this.spec = options.spec
    this.log = options.log
    this.#incarnation = options.incarnation
  }

  get header(): InodeHeader {
    return this.#incarnation.header
  }

  get index(): VolumeIndex {
    return this.#incarnation.index
  }

  get vid(): number {
    return this.header.vdiId
  }

  get objectSize(): number {
    return 2 ** this.header.blockSizeShift
  }

  /** The name, for messages. */
  get text(): string {
    return vdiText(this.spec)
  }

  /** Why nothing can be read or written any more; undefined while it can. */
  get failure(): SheepfsError | undefined {
    return this.#failure
  }

  /** A later inode of the same VDI, or the same after it has grown. */
  set incarnation(incarnation: Incarnation) {
    this.#incarnation = incarnation
  }

  get incarnation(): Incarnation {
    return this.#incarnation
  }

  /** The range to hold for a change of `start` to `end` of an object. */
  lockRange(start: number, end: number): { start: number; end: number } {
    if (!erasureStrips(this.header.copyPolicy)) return { start, end }
    return { start: start - (start % STRIPE_SIZE), end: Math.ceil(end / STRIPE_SIZE) * STRIPE_SIZE }
  }

  /**
   * Sends something that changes the VDI with inode `vid`. Resolves with undefined, and sends nothing, when that is not
   * the volume's inode any more.
   */
  async change<T>(vid: number, send: () => Promise<T>): Promise<T | undefined> {
    while (this.#recovering) await this.#recovering
    if (this.#failure) throw this.#failure
    if (vid !== this.vid) return undefined
    this.#sending++
    try {
      return await send()
    } finally {
      this.#sending--
      if (this.#sending === 0) this.#onDrained?.()
    }
  }

  /**
   * As `change`, for what changes the inode: it counts until it is known that no snapshot has lost it. Resolves with false
   * when nothing was sent.
   */
  async update(vid: number, send: () => Promise<unknown>): Promise<boolean> {
    const isSent = await this.change(vid, async () => {
      await send()
      this.updates++
      return true
    })
    return isSent ?? false
  }

  /** The inode `vid` has turned out to be a snapshot: goes over to its successor. Errors: read-only, stale. */
  recover(vid: number): Promise<void> {
    if (this.#recovering) return this.#recovering
    if (vid !== this.vid) return Promise.resolve()
    this.#recovering = this.#recover().finally(() => {
      this.#recovering = undefined
    })
    return this.#recovering
  }

  /** The VDI is not what it was: everything from now on fails with `failure`. */
  fail(failure: SheepfsError): void {
    if (this.#failure) return
    this.#failure = failure
    this.log.error({ code: failure.code }, failure.message)
  }

  /** Reads the inode's head. Errors, also for all later requests: stale when the VDI was deleted or rolled back. */
  async checkAlive(): Promise<InodeHeader> {
    if (this.#failure) throw this.#failure
    const known = this.header
    const header = await whileMissing(this.cluster, () => readInodeHeader(this.cluster, known.vdiId))
    const isSame = header.createSeconds === known.createSeconds && Buffer.compare(header.name, known.name) === 0
    if (isSame || known.vdiId !== this.vid) return header
    const failure = new SheepfsError('stale', `${this.text} was deleted or rolled back while attached: attach it again`)
    this.fail(failure)
    throw failure
  }

  async #recover(): Promise<void> {
    if (this.#sending > 0) {
      await new Promise<void>((resolve) => {
        this.#onDrained = resolve
      })
      this.#onDrained = undefined
    }
    try {
      await recoverFromSnapshot(this)
    } catch (error) {
      if (isSheepfsError(error) && FINAL.has(error.code)) this.fail(error)
      throw error
    }
  }
}
