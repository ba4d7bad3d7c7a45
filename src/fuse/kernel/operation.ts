import type { Logger } from '../../log.ts'
import type { Tree } from '../../tree/node.ts'
import type { FuseMessage } from '../../wire/fuse-reply.ts'
import { FuseInHeader, FuseSize } from '../../wire/fuse-structs.ts'
import type { BufferPool, PooledBuffer } from './buffer-pool.ts'
import type { LostSizes } from './lost-sizes.ts'
import type { Notifier } from './notifier.ts'
import type { OpenDirectories } from './open-directories.ts'
import type { OpenFiles } from './open-files.ts'
import type { RequestsInFlight } from './requests-in-flight.ts'

/** Where the arguments of a request start. */
export const ARGS = FuseSize.inHeader

/** Set in the upper half of `unique` when a request was sent again (docs/fuse-kernel-protocol.md#12). */
const RESENT_BIT = 0x8000_0000

/**
 * One request of the kernel. `view` is the message in the buffer it was read into, which the next request overwrites: a
 * handler reads all arguments before it awaits anything.
 */
export class Request {
  readonly view: DataView
  readonly length: number
  readonly opcode: number
  /** The tree's id: the lower half of what the kernel knows the node by. */
  readonly nodeid: number
  readonly uniqueLow: number
  readonly uniqueHigh: number
  /** The thread that made it; 0: the kernel itself, or one of another pid name space. */
  readonly pid: number
  /** It was answered before it was served: its requester is being killed. */
  isGivenUp = false
  /** What follows the arguments, for operations that keep it: valid until the reply. */
  data: Uint8Array | undefined
  /** Given back once the reply is written. */
  dataBuffer: PooledBuffer | undefined
  replyBuffer: PooledBuffer | undefined
  /** Called when the reply is written. */
  onAnswered: (() => void) | undefined

  constructor(view: DataView, length: number) {
    this.view = view
    this.length = length
    this.opcode = FuseInHeader.opcode.get(view)
    this.nodeid = FuseInHeader.nodeid.low(view)
    this.uniqueLow = FuseInHeader.uniqueLow.get(view)
    this.uniqueHigh = FuseInHeader.uniqueHigh.get(view)
    this.pid = FuseInHeader.pid.get(view)
  }

  /** A predecessor of this session has had it, and perhaps begun it. */
  get isResent(): boolean {
    return this.uniqueHigh >= RESENT_BIT
  }

  /** The same when it is sent again. The kernel counts from 0, so it is exact. */
  get id(): number {
    return requestId(this.uniqueLow, this.uniqueHigh)
  }
}

/** As `Request.id`, of the halves of a `unique`. */
export function requestId(uniqueLow: number, uniqueHigh: number): number {
  return (uniqueHigh % RESENT_BIT) * 2 ** 32 + uniqueLow
}

/** For a request that the kernel expects no answer to. */
export const NO_REPLY = Symbol('no reply')

/** A message whose header the session fills in, or a positive errno, or 0 for success without a payload. */
export type Reply = FuseMessage | number | typeof NO_REPLY

/** What handlers work on. */
export interface Served {
  readonly tree: Tree
  readonly files: OpenFiles
  readonly directories: OpenDirectories
  readonly buffers: BufferPool
  readonly requests: RequestsInFlight
  readonly notifier: Notifier
  readonly sizes: LostSizes
  readonly log: Logger
  /** Answers INIT. */
  negotiate(request: Request): Reply
}

/**
 * An opcode that is served. Everything else is answered ENOSYS, which stops the kernel from asking again
 * (docs/fuse-kernel-protocol.md#5).
 */
export interface Operation {
  /** The kernel's name of the opcode, for logs. */
  readonly name: string
  /** Least bytes of arguments: shorter requests are refused before the handler sees them. */
  readonly argsSize: number
  /** Bytes after the arguments are the request's `data`. */
  readonly keepsData?: boolean
  /** What it needs of the tree a successor may not have yet. */
  readonly needsTree?: boolean
  readonly handle: (served: Served, request: Request) => Reply | Promise<Reply>
}
