import type { Message, Response } from '../wire/message.ts'
import { Flag, Opcode, Req, SD_HEADER_SIZE } from '../wire/sd-proto.ts'
import type { SheepfsError } from '../errors.ts'

/** What moves slower than this does not move: bytes a second. */
const LEAST_RATE = 128 * 1024

/** A request on the wire. */
export interface Pending {
  readonly opcode: number
  readonly isChange: boolean
  readonly wanted: number
  into: Uint8Array | undefined
  /** Its payload is arriving. */
  isArriving: boolean
  /** Another sheep can be asked instead. */
  isReplaceable: boolean
  readonly sentAt: number
  readonly passage: Passage
  readonly resolve: (response: Response) => void
  readonly reject: (error: SheepfsError) => void
}

/** The way of one request over a link, to and fro. */
export interface Passage {
  readonly bytes: number
  /** What had moved when it was sent. */
  readonly movedBefore: number
  /** What was to move then until it is through. */
  readonly ahead: number
}

/**
 * What is under way on a connection. A link may be so slow that what was asked for at once takes longer than a sheep may leave
 * a request unanswered: what moves of that gives it more time. What comes later does not.
 */
export class Link {
  #moved = 0
  #ahead = 0

  send(message: Message): Passage {
    const bytes = 2 * SD_HEADER_SIZE + message.wanted + (message.payload?.length ?? 0)
    this.#ahead += bytes
    return { bytes, movedBefore: this.#moved, ahead: this.#ahead }
  }

  receive(bytes: number): void {
    this.#moved += bytes
  }

  /** A request of which `received` bytes of payload have come is through. */
  end({ bytes }: Passage, received: number): void {
    this.#moved += Math.max(0, bytes - received)
    this.#ahead -= bytes
  }

  /** How much longer a request may take, ms. */
  extraMs({ movedBefore, ahead }: Passage): number {
    return (1000 * Math.min(this.#moved - movedBefore, ahead)) / LEAST_RATE
  }
}

/** A removal is the one change of an object that carries no payload. */
export function mayChange({ header }: Message): boolean {
  return (Req.flags.get(header) & Flag.WRITE) !== 0 || Req.opcode.get(header) === Opcode.REMOVE_OBJ
}
