import { sleep } from '../clock.ts'
import { isSheepfsError, SheepfsError, type ErrorCode } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { Patience } from '../sheep/outage.ts'
import { readInodeHeader, vdiText } from '../sheep/vdi-lookup.ts'
import { erasureStrips, type InodeHeader } from '../wire/inode.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { ChangeGate } from './change-gate.ts'
import type { HeldLock } from './held-lock.ts'
import { isInode } from './inode-identity.ts'
import { whileMissing } from './missing.ts'
import { RangeLocks } from './range-locks.ts'
import { ReaderLook } from './reader-look.ts'
import { Removals } from './removals.ts'
import { UpdateCount } from './update-count.ts'
import type { VolumeIndex } from './index/volume-index.ts'

/**
 * Erasure-coded objects are read, changed and written back by the gateway in units of this
 * (docs/sheepdog-protocol.md#10).
 */
const STRIPE_SIZE = 512

/** The VDI is looked at when it was not for this long; */
const LOOK_MS = 100
/** who waits for that waits no longer than this. */
const LOOK_LIMIT_MS = 1000

/** Ends of going over to another inode that no later try can change. */
const FINAL = new Set<ErrorCode>(['stale', 'locked', 'not-supported', 'too-large'])

/** The inode a volume works on at the moment, and its index. Replaced together when the VDI gets another inode. */
export interface Incarnation {
  readonly header: InodeHeader
  readonly index: VolumeIndex
}

export interface VolumeCoreOptions {
  readonly cluster: Cluster
  readonly spec: VdiSpec
  readonly incarnation: Incarnation
  readonly lock: HeldLock | undefined
  /** Goes over to the inode that comes after a snapshot. Errors: read-only, stale; those of `FINAL` end the volume. */
  readonly recoverFromSnapshot: (core: VolumeCore) => Promise<void>
  readonly log: Logger
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
  readonly readerLook = new ReaderLook(this)
  readonly updates = new UpdateCount()
  /** Held while the volume may be written to; undefined when it is attached for reading. */
  readonly lock: HeldLock | undefined
  readonly #recoverFromSnapshot: (core: VolumeCore) => Promise<void>
  readonly #gate = new ChangeGate()
  #incarnation: Incarnation
  #failure: SheepfsError | undefined
  #lookedAt = -Infinity
  #isLooking = false
  #looked: Promise<void> = Promise.resolve()

  constructor(options: VolumeCoreOptions) {
    this.lock = options.lock
    this.cluster = options.cluster
    this.removals = new Removals(options.cluster, () => this.header)
    this.spec = options.spec
    this.log = options.log
    this.#recoverFromSnapshot = options.recoverFromSnapshot
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

  /** Others may write to it: a VDI that is attached for reading. */
  get hasOtherWriters(): boolean {
    return this.lock === undefined && !this.header.isSnapshot
  }

  /** The name, for messages. */
  get text(): string {
    return vdiText(this.spec)
  }

  /** Why nothing can be read or written any more; undefined while it can. */
  get failure(): SheepfsError | undefined {
    const { failure } = this.cluster
    if (failure && !this.#failure) this.fail(new SheepfsError('stale', `${this.text}: ${failure.message}`))
    return this.#failure
  }

  /** Works on a later inode of the same VDI from now on, or on the same after it has grown. */
  adopt(incarnation: Incarnation): void {
    if (incarnation.header.vdiId !== this.vid) this.removals.clear()
    this.#incarnation = incarnation
  }

  /** How an object of it is changed. */
  get objectOptions(): { readonly copies: number; readonly strips: number | undefined } {
    const { nrCopies, copyPolicy } = this.header
    const coded = erasureStrips(copyPolicy)
    return { copies: nrCopies, strips: coded && coded.data + coded.parity }
  }

  /** The range to hold for a change of `start` to `end` of an object. */
  lockRange(start: number, end: number): { start: number; end: number } {
    if (!erasureStrips(this.header.copyPolicy)) return { start, end }
    return { start: start - (start % STRIPE_SIZE), end: Math.ceil(end / STRIPE_SIZE) * STRIPE_SIZE }
  }

  /** Serves one request: with what it is given all that is sent for it waits, and for no longer than one request may. */
  request<T>(work: (patience: Patience) => Promise<T>): Promise<T> {
    return this.cluster.withPatience(undefined, work)
  }

  /**
   * Sends something that changes the VDI with inode `vid`. Resolves with undefined, and sends nothing, when that is not
   * the volume's inode any more.
   */
  async change<T>(vid: number, send: () => Promise<T>): Promise<T | undefined> {
    await this.look()
    const isPresent = (): boolean => {
      const { failure } = this
      if (failure) throw failure
      return vid === this.vid
    }
    return this.#gate.pass(isPresent, send)
  }

  /**
   * As `change`, for what changes the inode: it counts until it is known that no snapshot has lost it. Resolves with false
   * when nothing was sent.
   */
  async update(vid: number, send: () => Promise<unknown>): Promise<boolean> {
    const isSent = await this.change(vid, async () => {
      await send()
      this.updates.acknowledge(1)
      return true
    })
    return isSent ?? false
  }

  /** The inode `vid` has turned out to be a snapshot: goes over to its successor. Errors: read-only, stale. */
  recover(vid: number): Promise<void> {
    const recovering = this.#gate.closedFor
    if (recovering) return recovering
    return vid === this.vid ? this.#gate.close(() => this.#recover()) : Promise.resolve()
  }

  /** The VDI is not what it was: everything from now on fails with `failure`. */
  fail(failure: SheepfsError): void {
    if (this.#failure) return
    this.#failure = failure
    this.log.error({ code: failure.code }, failure.message)
  }

  /**
   * Looks whether the VDI still is the one that was attached, unless it was seen just now: a vid is made again when a VDI is
   * rolled back, or the cluster formatted, and no epoch tells (docs/sheepdog-protocol.md#3.5). What does not answer at once is
   * not waited for. Errors: stale.
   */
  async look(): Promise<void> {
    const { clock } = this.cluster
    if (this.#isLooking || clock.now() - this.#lookedAt < LOOK_MS) return this.#looked
    this.#isLooking = true
    const looking = this.#lookNow().finally(() => {
      this.#lookedAt = clock.now()
      this.#isLooking = false
    })
    this.#looked = Promise.race([looking, sleep(clock, LOOK_LIMIT_MS, { isBackground: true })])
    this.#looked.catch(() => undefined)
    await this.#looked
  }

  /** Reads the inode's head. Errors, also for all later requests: stale when the VDI was deleted or rolled back. */
  async checkAlive(patience?: Patience): Promise<InodeHeader> {
    if (this.#failure) throw this.#failure
    const { vid } = this
    const header = await whileMissing(this.cluster, (own) => readInodeHeader(this.cluster, vid, own), { patience })
    this.#check(header)
    return header
  }

  #check(header: InodeHeader): void {
    const known = this.header
    if (known.vdiId !== header.vdiId) return
    if (isInode(header, known)) {
      this.#adoptCopies(header)
      return
    }
    const failure = new SheepfsError('stale', `${this.text} was deleted or rolled back while attached: attach it again`)
    this.fail(failure)
    throw failure
  }

  /** `dog vdi alter-copy` was used: other sheep hold its objects, and its inode. */
  #adoptCopies({ nrCopies }: InodeHeader): void {
    const { header, index } = this.#incarnation
    if (nrCopies === header.nrCopies) return
    index.adoptCopies?.(nrCopies)
    this.#incarnation = { header: { ...header, nrCopies }, index }
    this.log.info({ from: header.nrCopies, to: nrCopies }, `${this.text} has another number of copies`)
  }

  async #lookNow(): Promise<void> {
    try {
      const header = await readInodeHeader(this.cluster, this.vid)
      if (!header.isSnapshot) this.#check(header) // of a snapshot, which may be deleted, the next change tells
    } catch (error) {
      if (isSheepfsError(error, 'stale')) await this.cluster.look() // it is missing: is it another cluster?
      if (this.failure) throw this.failure
      this.log.debug({ err: error }, `${this.text}: its inode cannot be looked at`)
    }
  }

  async #recover(): Promise<void> {
    try {
      await this.#recoverFromSnapshot(this)
    } catch (error) {
      if (isSheepfsError(error) && FINAL.has(error.code)) this.fail(error)
      throw error
    }
  }
}
