import { every, sleep, type Clock, type Timer } from '../clock.ts'
import { errorText, isSheepfsError, type SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Message } from '../wire/message.ts'
import { vidOf } from '../wire/object-id.ts'
import { Opcode, Req } from '../wire/sd-proto.ts'
import type { LockedState, LockStates } from './lock-table.ts'
import type { Timing } from './timing.ts'

/** The lock of a VDI that is being written to. */
export interface WatchedLock {
  /** Why the VDI may not be written to any more. */
  readonly failure: SheepfsError | undefined
  /** Told how the cluster has it: undefined when nobody holds it. Errors: unreachable, and then it is asked again. */
  check(found: LockedState | undefined): Promise<void>
}

interface Options {
  readonly clock: Clock
  readonly timing: Timing
  readonly log: Logger
  readonly read: () => Promise<LockStates>
}

const CHANGES = new Set<number>([Opcode.CREATE_AND_WRITE_OBJ, Opcode.WRITE_OBJ, Opcode.REMOVE_OBJ, Opcode.DISCARD_OBJ])

/**
 * Keeps an eye on the locks that are held: the sheep keep them in memory only, so that a restart of the whole cluster loses
 * them, and anybody may break them (docs/sheepdog-protocol.md#6.2). After a loss of home nothing is changed under a
 * lock before it has been seen, or taken again; at other times they are looked at now and then.
 */
export class LockWatch {
  readonly #options: Options
  /** By vid. */
  readonly #locks = new Map<number, WatchedLock>()
  #doubt: Promise<void> | undefined
  #losses = 0
  #timer: Timer | undefined
  #isLooking = false
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
  }

  watch(vid: number, lock: WatchedLock): void {
    this.#locks.set(vid, lock)
    this.#timer ??= every(this.#options.clock, this.#options.timing.lockPollMs, () => void this.look())
  }

  forget(vid: number): void {
    this.#locks.delete(vid)
    if (this.#locks.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** They were locks of another cluster. */
  clear(): void {
    this.#locks.clear()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Home was lost: what it knew may have been all that was known of the locks. */
  doubt(): void {
    this.#losses++
    if (this.#locks.size === 0 || this.#isClosed) return
    this.#doubt ??= this.#resolve().finally(() => {
      this.#doubt = undefined
    })
  }

  /** What has to be waited for before this is sent, if anything. Throws when the lock that it needs is lost. */
  doubtOf({ header, oid }: Message): Promise<void> | undefined {
    if (this.#locks.size === 0 || !oid || !CHANGES.has(Req.opcode.get(header))) return undefined
    const lock = this.#locks.get(vidOf(oid))
    if (lock?.failure) throw lock.failure
    return lock && this.#doubt
  }

  /** Looks whether all locks are still held; while that is in doubt it is being looked at. */
  async look(): Promise<void> {
    if (this.#isLooking || this.#doubt || this.#locks.size === 0 || this.#isClosed) return
    this.#isLooking = true
    try {
      await this.#check()
    } catch (error) {
      this.#options.log.debug({ err: error }, `the locks could not be looked at: ${errorText(error)}`)
    }
    this.#isLooking = false
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  async #resolve(): Promise<void> {
    const { clock, timing } = this.#options
    for (let seen: number | undefined; seen !== this.#losses && !this.#isClosed;) {
      const losses = this.#losses
      try {
        await this.#check()
        seen = losses
      } catch (error) {
        if (!isSheepfsError(error)) throw error
        await sleep(clock, timing.lastPauseMs)
      }
    }
  }

  async #check(): Promise<void> {
    const locks = [...this.#locks]
    const states = await this.#options.read()
    await Promise.all(locks.map(([vid, lock]) => lock.check(states.get(vid))))
  }
}
