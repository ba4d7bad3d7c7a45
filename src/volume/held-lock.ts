import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { BookedLock } from '../sheep/lock-book.ts'
import type { LockedState } from '../sheep/lock-table.ts'
import type { WatchedLock } from '../sheep/lock-watch.ts'
import { lookupVdi, vdiText } from '../sheep/vdi-lookup.ts'
import type { VdiSpec } from '../wire/vdi-ops.ts'
import { acquireVdiLock, releaseVdiLock, type VdiLock } from './vdi-lock.ts'

/**
 * The lock of a volume that may be written to. A lock belongs to an inode, not to a name: while the volume goes over to
 * another inode it holds two. One that the cluster has forgotten is taken again; one that somebody else has is lost for good.
 */
export class HeldLock implements WatchedLock {
  readonly #cluster: Cluster
  readonly #log: Logger
  readonly #spec: VdiSpec
  readonly #onChange: () => void
  #onLost: (failure: SheepfsError) => void = () => undefined
  #failure: SheepfsError | undefined
  /** No sheep knew of it: whoever has it now, be it through the same sheep, is somebody else. */
  #isForgotten = false
  #present: VdiLock
  /** Taken, and going over to its inode has not come to an end. */
  #next: VdiLock | undefined
  /** All has been given back, or will be once nothing is being taken any more. */
  #isOver = false
  #taking: Promise<unknown> = Promise.resolve()

  constructor(
    present: VdiLock,
    options: { cluster: Cluster; spec: VdiSpec; log: Logger; onChange?: (() => void) | undefined },
  ) {
    this.#present = present
    this.#spec = { name: options.spec.name }
    this.#cluster = options.cluster
    this.#log = options.log
    this.#onChange = options.onChange ?? (() => undefined)
  }

  /** The sheep that holds it, as the cluster names it; undefined where the cluster keeps no locks. */
  get owner(): string | undefined {
    return this.#present.owner
  }

  get failure(): SheepfsError | undefined {
    return this.#failure
  }

  /** Looks after it from now on. `onLost` is called once, when somebody else has it. */
  watch(onLost: (failure: SheepfsError) => void): void {
    this.#onLost = onLost
    this.#watchPresent()
  }

  async check(found: LockedState | undefined): Promise<void> {
    const held = this.#present
    if (this.#failure || (found?.owner === held.owner && !this.#isForgotten)) return
    if (found) this.#lose(found.owner)
    else if (!this.#isOver) await this.#take(() => this.#takeAgain(held))
  }

  /** Takes the lock of the inode that the name means now, and resolves with its vid. Errors: locked, not-found. */
  acquireNext(): Promise<number> {
    return this.#take(async () => {
      const former = this.#next
      this.#next = await acquireVdiLock(this.#cluster, this.#spec, { ownLocks: booked(former) })
      if (former && former.vid !== this.#next.vid) await releaseVdiLock(this.#cluster, former)
      return this.#next.vid
    })
  }

  /** Gives that one back: its inode is another already. */
  async releaseNext(): Promise<void> {
    const next = this.#next
    if (next) await releaseVdiLock(this.#cluster, next)
    this.#next = undefined
  }

  /** The volume works on that inode from now on. */
  async goOver(): Promise<void> {
    const former = this.#present
    this.#cluster.lockWatch.forget(former.vid)
    this.#present = this.#next ?? former
    this.#next = undefined
    this.#isForgotten = false
    this.#watchPresent()
    this.#onChange()
    await releaseVdiLock(this.#cluster, former).catch((error: unknown) => {
      this.#log.warn({ err: error }, `${vdiText(this.#spec)}: the lock of the snapshot could not be released`)
    })
  }

  /** Gives back all that is held, also what is still being taken. */
  async release(): Promise<void> {
    this.#isOver = true
    if (this.#cluster.failure) return // it was a lock of another cluster
    this.#cluster.lockWatch.forget(this.#present.vid)
    await this.#taking
    try {
      await this.releaseNext()
    } finally {
      if (!this.#failure) await releaseVdiLock(this.#cluster, this.#present)
    }
  }

  /** Does not wait for what is being taken already; `release` waits for all of it. */
  #take<T>(take: () => Promise<T>): Promise<T> {
    const taking = take()
    this.#taking = Promise.allSettled([this.#taking, taking])
    return taking
  }

  #watchPresent(): void {
    if (this.owner !== undefined) this.#cluster.lockWatch.watch(this.#present.vid, this)
  }

  async #takeAgain(held: VdiLock): Promise<void> {
    const { lasting } = this.#cluster
    this.#isForgotten ||= await this.#cluster.isLockForgotten(held.vid)
    try {
      const { vid } = await lookupVdi(lasting, this.#spec)
      if (vid !== held.vid || this.#present !== held) return // it is a snapshot: there is nothing to write to any more
      const ownLocks = this.#isForgotten ? [] : booked(held)
      const taken = await acquireVdiLock(lasting, this.#spec, { ownLocks })
      if (taken.vid !== held.vid) {
        await this.#giveBack(taken)
        return
      }
      this.#present = taken
      this.#isForgotten = false
      this.#onChange()
      const text = 'its lock was gone, broken or lost in a restart of the whole cluster: it was taken again'
      this.#log.warn({ vdi: vdiText(this.#spec) }, `${vdiText(this.#spec)}: ${text}`)
    } catch (error) {
      if (isSheepfsError(error, 'locked')) this.#lose(undefined)
      else if (!isSheepfsError(error, 'not-found')) throw error
    }
  }

  /** A snapshot was taken just now: the lock of the next inode is for the recovery to take. */
  async #giveBack(taken: VdiLock): Promise<void> {
    if (taken.vid !== this.#next?.vid && taken.vid !== this.#present.vid) await releaseVdiLock(this.#cluster, taken)
  }

  #lose(owner: string | undefined): void {
    const holder = owner === undefined ? 'somebody else' : `a client of sheep ${owner}`
    const text = `${vdiText(this.#spec)}: its lock was broken, or lost in a restart of the whole cluster, and ${holder} has it`
    this.#failure = new SheepfsError('stale', `${text}: nothing is written any more; attach it again`)
    this.#cluster.locks.strike(this.#present.vid)
    this.#onLost(this.#failure)
  }
}

function booked(lock: VdiLock | undefined): BookedLock[] {
  return lock?.owner === undefined ? [] : [{ vid: lock.vid, owner: lock.owner }]
}
