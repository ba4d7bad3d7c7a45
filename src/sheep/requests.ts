import type { Clock } from '../clock.ts'
import type { Message, Response } from '../wire/message.ts'
import type { Address } from './address.ts'
import type { Connection } from './connection.ts'
import type { LockBook } from './lock-book.ts'
import type { LockStates } from './lock-table.ts'
import type { Patience } from './outage.ts'
import type { Waiter } from './waiter.ts'

/** Who asks: what is sent for him goes over his connection, and ends with his waiting. */
export interface Caller {
  readonly waiter: Waiter
  connect(): Promise<Connection>
  /** As `connect`, for a change that is sent at once. */
  connectForChange(): Promise<Connection>
}

/** How a request is sent. */
export interface RequestOptions {
  /**
   * Of the VDI that the object belongs to, where known: a read may be answered by any holder of the object, and for a change
   * only nodes that hold it count. Else home is asked, and all nodes count.
   */
  readonly copies?: number | undefined
  /** Of an object that is erasure-coded: it is only changed while each strip has a zone (docs/sheepdog-protocol.md#10). */
  readonly strips?: number | undefined
  /** The only sheep to try; without it, home. */
  readonly at?: Address | undefined
  /** Where the payload of a success is received; as long as what is wanted. */
  readonly into?: Uint8Array | undefined
  /** The object to be created has been there before: a recovery under way could bring it back. */
  readonly wasRemoved?: boolean
  /** Whose request it is: what goes to home goes on his connection. */
  readonly caller?: Caller | undefined
  /** Of the request of the kernel that it is a part of: all of that waits no longer than `io_timeout`. Else it has its own. */
  readonly patience?: Patience | undefined
}

/** The same with the cluster that it is meant for: never left out, or it would go to whatever cluster is there by then. */
export interface MeantOptions extends RequestOptions {
  /** See `KnownCluster`; undefined: for whatever cluster it is. */
  readonly generation: number | undefined
}

/** What a cluster can be asked for: by everything that lasts, or in an errand. */
export interface Requests {
  readonly clock: Clock
  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  readonly protoVer: number
  /** Whether the cluster keeps VDI locks. */
  readonly hasLocking: boolean
  /** The numeric address of the gateway in use. */
  readonly homePeer: Address | undefined
  /** The locks that may be held through it. */
  readonly locks: LockBook
  /** How all VDIs are locked, after all that was answered before. */
  lockStates(): Promise<LockStates>
  /** Leaves locks for a moment after an outage to those who had them. Resolves with whether that took time. */
  lockGrace(): Promise<boolean>
  /** For what has to be done whoever waits. */
  readonly lasting: Requests
  read(message: Message, options?: RequestOptions): Promise<Response>
  change(message: Message, options?: RequestOptions): Promise<Response>
  changeOnce(message: Message, options?: RequestOptions): Promise<Response | undefined>
  query(message: Message, caller?: Caller): Promise<Response>
  ask(address: Address, message: Message): Promise<Response>
  /** Half of it done is worse than all of it: the caller's going does not end it any more. `standing`: what is done. */
  readonly committed?: (standing: string) => void
}
