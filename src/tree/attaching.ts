import type { Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { Waiter } from '../sheep/waiter.ts'
import type { VolumeFile } from './volume-file.ts'

/** What an attach has come to. */
export interface Attachment {
  readonly file: VolumeFile
  /** It was not attached before, and of all who asked for it at a time this one attached it. */
  readonly isNew: boolean
}

/** A volume that is being attached, for everybody who asks for it meanwhile; it ends with the last of them. */
export class Attaching {
  /** Those who wait, in the order they came in. */
  readonly #callers = new Set<Waiter>()
  readonly #waiter: Waiter
  readonly #opening: Promise<VolumeFile>
  /** Resolves when nothing of it goes on any more. */
  readonly settled: Promise<unknown>

  /** `open` gives back what it has got when its waiter waits no more. */
  constructor(clock: Clock, open: (waiter: Waiter) => Promise<VolumeFile>) {
    this.#waiter = new Waiter({ clock, limitMs: Infinity, others: this.#callers })
    this.#opening = open(this.#waiter)
    this.settled = this.#opening.catch(() => undefined)
  }

  /** Nobody waits for it any more: only its end can be waited for. */
  get isGivenUp(): boolean {
    return this.#waiter.signal.aborted
  }

  /** Errors: those of `open`; why the caller waits no more. */
  async join(caller: Waiter): Promise<Attachment> {
    this.#callers.add(caller)
    try {
      const file = await caller.until(this.#opening)
      const [first] = this.#callers
      return { file, isNew: first === caller }
    } catch (error) {
      this.#callers.delete(caller)
      if (this.#callers.size === 0) this.giveUp('nobody waits for it any more')
      throw error
    }
  }

  giveUp(why: string): void {
    this.#waiter.giveUp(new SheepfsError('closed', why))
  }
}
