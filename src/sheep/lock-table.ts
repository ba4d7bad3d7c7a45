import { viewOf } from '../wire/field.ts'
import { getVdiCopies, LockState, VDI_STATE_SIZE, VdiState } from '../wire/info-ops.ts'
import type { Message, Response } from '../wire/message.ts'
import { addrText } from '../wire/node-record.ts'
import { Result } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import { mapInOrder, NODES_AT_ONCE } from './map-in-order.ts'
import { breach } from './parse-answer.ts'
import { expectSuccess } from './result-error.ts'

/** Room for the first question; the answer is asked again with twice the room while it does not fit. */
const FIRST_STATES = 512
const MAX_STATES = 2 ** 16
/** Of a state, what says how it is locked: from `lockState` to the port of the owner. */
const LOCK_SIZE = VdiState.lockOwnerPort.offset + VdiState.lockOwnerPort.size - VdiState.lockState.offset

/** How a vid is locked. */
export interface LockedState {
  /** `host:port` of the sheep through which it is held, as the cluster names it; undefined when several share it. */
  readonly owner: string | undefined
}

/** By vid: what nobody has locked is not in it. */
export type LockStates = Pick<ReadonlyMap<number, LockedState>, 'get' | 'has' | 'size'>

interface Options {
  readonly home: () => Address | undefined
  readonly protoVer: () => number
  /** `into`: as `RequestOptions` has it. */
  readonly read: (message: Message, into: Uint8Array) => Promise<Response>
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
  /** Where answers are received, one after the other. */
  #into = new Uint8Array(0)
  /** Sent: who asks now may have changed something that the answer does not know of. */
  #sent: Promise<unknown> = Promise.resolve()
  #next: Promise<LockStates> | undefined

  constructor(options: Options) {
    this.#options = options
  }

  /** Errors: those of a read; protocol. */
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
    const width = Math.min(NODES_AT_ONCE, MAX_STATES / this.#room) // each may answer with all there is room for
    const answers = await mapInOrder(others, width, (address) => this.#isKnownAt(address, vid))
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
      if (this.#into.length < this.#room * VDI_STATE_SIZE) this.#into = new Uint8Array(this.#room * VDI_STATE_SIZE)
      const message = getVdiCopies(this.#options.protoVer(), this.#room)
      const { result, payload } = await this.#options.read(message, this.#into.subarray(0, message.wanted))
      if (result === Result.BUFFER_SMALL) continue
      expectSuccess({ result }, 'lock state')
      return parseLocks(payload)
    }
    this.#room = FIRST_STATES
    throw breach({ homePeer: this.#options.home() }, `more than ${MAX_STATES} VDIs`)
  }
}

/** Copies what it needs. Who has a lock is read when it is asked for: of a list of thousands, one or two are. */
function parseLocks(states: Uint8Array): LockStates {
  const view = viewOf(states)
  const places = new Map<number, number>()
  for (let at = 0; at + VDI_STATE_SIZE <= states.length; at += VDI_STATE_SIZE) {
    const state = VdiState.lockState.get(view, at)
    if (state === LockState.LOCKED || state === LockState.SHARED) places.set(VdiState.vid.get(view, at), at)
  }
  const locks = new Uint8Array(places.size * LOCK_SIZE)
  let to = 0
  for (const [vid, at] of places) {
    locks.set(states.subarray(at + VdiState.lockState.offset, at + VdiState.lockState.offset + LOCK_SIZE), to)
    places.set(vid, to)
    to += LOCK_SIZE
  }
  return {
    get: (vid) => {
      const at = places.get(vid)
      return at === undefined ? undefined : toLockedState(viewOf(locks), at - VdiState.lockState.offset)
    },
    has: (vid) => places.has(vid),
    size: places.size,
  }
}

function toLockedState(view: DataView, at: number): LockedState {
  if (VdiState.lockState.get(view, at) === LockState.SHARED) return { owner: undefined }
  const host = addrText(VdiState.lockOwnerAddr.get(view, at))
  return { owner: addressText({ host, port: VdiState.lockOwnerPort.get(view, at) }) }
}
