import type { Clock } from '../clock.ts'
import type { Address } from './address.ts'

/** What the client of a cluster does not have in itself: time, chance, and connections. */
export interface World {
  readonly clock: Clock
  readonly dial: Dial
}

/** Begins to connect to an address. Nothing of the receiver is called before this returns. */
export type Dial = (address: Address, receiver: Receiver) => Stream

/** The end of a byte stream that one writes to. */
export interface Stream {
  /** What is written in one turn of the event loop leaves together. The bytes belong to the stream from then on. */
  write(bytes: Uint8Array): void
  /** Ends the stream. Nothing of the receiver is called any more but `ended`. Idempotent. */
  destroy(): void
  /** As `destroy`, with an error for the other side: what it has not read yet is lost. */
  reset(): void
}

/** What a stream tells its owner. */
export interface Receiver {
  /** `peer`: the numeric address of the other side, where the one dialled may be a name. */
  connected(peer?: Address): void
  /** Where the next bytes go; asked for before every receipt. */
  buffer(): Uint8Array
  /** So many bytes have been put into the last buffer. False: no more are wanted. */
  received(length: number): boolean
  /** There is no stream any more, or never was: for a reason, or because the other side has closed it. May come twice. */
  ended(error: Error | undefined): void
}
