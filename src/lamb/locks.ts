import { LockType } from '../wire/vdi-ops.ts'

/** State of one participant of a shared lock. */
export const ParticipantState = { MODIFIED: 1, SHARED: 2, INVALIDATED: 3 } as const
type ParticipantStateValue = (typeof ParticipantState)[keyof typeof ParticipantState]

const MAX_PARTICIPANTS = 31

interface Participant {
  readonly gateway: number
  state: ParticipantStateValue
}

/** How a vid is locked: by one gateway, or shared by several. */
export type VdiLock =
  | { readonly type: 'normal'; readonly owner: number }
  | { readonly type: 'shared'; readonly participants: readonly Participant[] }

/**
 * The VDI locks of a cluster formatted for locking (docs/sheepdog-protocol.md#6.2, #6.3). An owner is the sheep that
 * received the request (here the number of a gateway), never a client; a lock outlives connections and ends with
 * RELEASE_VDI or the cluster.
 */
export class Locks {
  readonly #locks = new Map<
    number,
    { type: 'normal'; owner: number } | { type: 'shared'; participants: Participant[] }
  >()

  get(vid: number): VdiLock | undefined {
    return this.#locks.get(vid)
  }

  /** False when somebody holds the lock, be it the same gateway. */
  lock(vid: number, type: number, gateway: number): boolean {
    const held = this.#locks.get(vid)
    if (type === LockType.NORMAL) {
      if (held) return false
      this.#locks.set(vid, { type: 'normal', owner: gateway })
      return true
    }
    if (type !== LockType.SHARED || held?.type === 'normal') return false
    if (!held) {
      this.#locks.set(vid, { type: 'shared', participants: [{ gateway, state: ParticipantState.MODIFIED }] })
      return true
    }
    return join(held.participants, gateway)
  }

  /** Anybody may release a normal lock; of a shared one each gateway leaves. A wrong type changes nothing. */
  release(vid: number, type: number, gateway: number): void {
    const held = this.#locks.get(vid)
    if (held?.type === 'normal' && type === LockType.NORMAL) this.#locks.delete(vid)
    if (held?.type !== 'shared' || type !== LockType.SHARED) return
    const at = held.participants.findIndex((participant) => participant.gateway === gateway)
    if (at !== -1) held.participants.splice(at, 1)
    if (held.participants.length === 0) this.#locks.delete(vid)
  }

  /** True when requests with flag TGT through this gateway must first refresh the inode. */
  isInvalidated(vid: number, gateway: number): boolean {
    return this.#participant(vid, gateway)?.state === ParticipantState.INVALIDATED
  }

  /** An index update went through this gateway: the others must refresh. */
  indexUpdated(vid: number, gateway: number): void {
    const held = this.#locks.get(vid)
    const sender = this.#participant(vid, gateway)
    if (held?.type !== 'shared' || !sender || sender.state === ParticipantState.MODIFIED) return
    for (const participant of held.participants) participant.state = ParticipantState.INVALIDATED
    sender.state = ParticipantState.MODIFIED
  }

  /** Header and index were read through this gateway. */
  refreshed(vid: number, gateway: number): void {
    const held = this.#locks.get(vid)
    const reader = this.#participant(vid, gateway)
    if (held?.type !== 'shared' || reader?.state !== ParticipantState.INVALIDATED) return
    for (const participant of held.participants) {
      if (participant.state === ParticipantState.MODIFIED) participant.state = ParticipantState.SHARED
    }
    reader.state = ParticipantState.SHARED
  }

  clear(): void {
    this.#locks.clear()
  }

  #participant(vid: number, gateway: number): Participant | undefined {
    const held = this.#locks.get(vid)
    return held?.type === 'shared'
      ? held.participants.find((participant) => participant.gateway === gateway)
      : undefined
  }
}

function join(participants: Participant[], gateway: number): boolean {
  if (participants.length >= MAX_PARTICIPANTS) return false
  if (participants.some((participant) => participant.gateway === gateway)) return false
  const isModified = participants.some((participant) => participant.state === ParticipantState.MODIFIED)
  participants.push({ gateway, state: isModified ? ParticipantState.INVALIDATED : ParticipantState.SHARED })
  return true
}
