import { SheepfsError } from '../errors.ts'
import { viewOf } from '../wire/field.ts'
import { getVdiCopies, LockState, VDI_STATE_SIZE, VdiState } from '../wire/info-ops.ts'
import type { Message, Response } from '../wire/message.ts'
import { addrText } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import { expectSuccess } from './result-error.ts'

/** Room for the first question; the answer is asked again with twice the room while it does not fit. */
const FIRST_STATES = 512
const MAX_STATES = 2 ** 20

/** How a vid is locked. */
export interface LockedState {
  /** `host:port` of the sheep through which it is held, as the cluster names it; undefined when several share it. */
  readonly owner: string | undefined
}

/** By vid: what nobody has locked is not in it. */
export type LockStates = ReadonlyMap<number, LockedState>

interface Options {
  readonly protoVer: () => number
  readonly read: (message: Message) => Promise<Response>
  /** Asks one node, once. */
  readonly ask: (address: Address, message: Message) => Promise<Response>
}

/**
 * The locks of all VDIs, as home knows them. A sheep answers with 1428 bytes for every VDI there is
 * (docs/sheepdog-protocol.md#2.2), so those that ask at the same time share one question, which is sent after all of them asked.
 */
export class LockTable {
  readonly #options: Options
  #room = FIRST_STATES
  /** Sent: who asks now may have changed something that the answer does not know of. */
  #sent: Promise<unknown> = Promise.resolve()
  #next: Promise<LockStates> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Errors: those of a read. */
  read(): Promise<LockStates> {
    this.#next ??= this.#sent.then(() => {
      const asking = this.#ask()
      this.#next = undefined
      this.#sent = asking.catch(() => undefined)
      return asking
    })
    return this.#next
  }

  /**
   * Whether a lock that home does not know of is forgotten by all. A sheep that has just come back alone knows of none until it
   * has asked the others (docs/sheepdog-protocol.md#6.2); so one of those has to say so too.
   */
  async isForgotten(vid: number, others: readonly Address[]): Promise<boolean> {
    if (others.length === 0) return true
    const answers = await Promise.all(others.map((address) => this.#isKnownAt(address, vid)))
    return answers.includes('free') && !answers.includes('locked')
  }

  async #isKnownAt(address: Address, vid: number): Promise<'free' | 'locked' | 'unheard'> {
    try {
      const response = await this.#options.ask(address, getVdiCopies(this.#options.protoVer(), this.#room))
      if (response.result !== Result.SUCCESS) return 'unheard'
      return parseLocks(response.payload).has(vid) ? 'locked' : 'free'
    } catch {
      return 'unheard'
    }
  }

  async #ask(): Promise<LockStates> {
    for (; this.#room <= MAX_STATES; this.#room *= 2) {
      const { result, payload } = await this.#options.read(getVdiCopies(this.#options.protoVer(), this.#room))
      if (result === Result.BUFFER_SMALL) continue
      expectSuccess({ result }, 'lock state')
      return parseLocks(payload)
    }
    this.#room = FIRST_STATES
    throw new SheepfsError('io', `the cluster has more than ${MAX_STATES} VDIs`)
  }
}

function parseLocks(states: Uint8Array): LockStates {
  const view = viewOf(states)
  const locks = new Map<number, LockedState>()
  for (let at = 0; at + VDI_STATE_SIZE <= states.length; at += VDI_STATE_SIZE) {
    const state = VdiState.lockState.get(view, at)
    if (state !== LockState.LOCKED && state !== LockState.SHARED) continue
    const host = addrText(VdiState.lockOwnerAddr.get(view, at))
    const owner = addressText({ host, port: VdiState.lockOwnerPort.get(view, at) })
    locks.set(VdiState.vid.get(view, at), { owner: state === LockState.LOCKED ? owner : undefined })
  }
  return locks
}
