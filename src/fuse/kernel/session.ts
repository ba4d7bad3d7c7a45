import { constants } from 'node:os'
import { SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { File, Tree } from '../../tree/node.ts'
import { newFuseMessage, setReplyHeader, type FuseMessage } from '../../wire/fuse-reply.ts'
import { notifyResend } from '../../wire/fuse-notify.ts'
import { FuseInHeader, FuseOutHeader, FuseSize } from '../../wire/fuse-structs.ts'
import { errnoOf } from '../errno.ts'
import type { Meter } from '../meter.ts'
import { BufferPool, LARGEST_BUFFER, type PooledBuffer } from './buffer-pool.ts'
import { deferred } from './deferred.ts'
import type { Device, DeviceEnd } from './device.ts'
import { FileHandleNumbers } from './file-handle-numbers.ts'
import { HeldRequests } from './held-requests.ts'
import { LostSizes } from './lost-sizes.ts'
import { isWrittenBack, negotiate, type Negotiated } from './negotiation.ts'
import { Notifier } from './notifier.ts'
import { OpenDirectories } from './open-directories.ts'
import { OpenFiles, type OpenHandle, type HandleKeeper } from './open-files.ts'
import { ARGS, NO_REPLY, Request, type Operation, type Reply, type Served } from './operation.ts'
import { OPERATIONS } from './operations.ts'
import { RequestsInFlight } from './requests-in-flight.ts'
import { ShortWait } from './short-wait.ts'

const { EINTR, EINVAL, EIO, ENOSYS, EPROTO } = constants.errno

export interface SessionOptions {
  readonly tree: Tree
  readonly device: Device
  readonly log: Logger
  readonly writeBack: boolean
  /** Another one for every session of the same mount: tells its file handles from those of its predecessors. */
  readonly generation: number
  /** What a predecessor negotiated; without it the kernel's INIT is awaited. */
  readonly negotiated?: Negotiated
  /** Bytes of requests and replies in flight, at least 4 MiB; beyond it requests wait in the kernel. */
  readonly memoryLimit?: number
  readonly meter?: Meter
  /** Is told of open files, for a successor to `restore` them. */
  readonly handleKeeper?: HandleKeeper
}

/** 'holding': what needs the tree waits; 'draining': no request is taken any more, those in flight are answered. */
type State = 'new' | 'holding' | 'serving' | 'draining' | 'ended'

const MEMORY_LIMIT = 40 * 1024 * 1024
/** Requests taken from the device before the event loop goes on. */
const MAX_BURST = 64
const TRIAL_EVERY = 8
/** A WRITE from this size keeps the buffer it was read into; a smaller one is copied out of it. */
const KEEP_FROM = 128 * 1024

/** With more requests in flight there is always something to do. */
const FEW_IN_FLIGHT = 2

/** Bytes that a request wrote or read. */
function payloadBytes(request: Request, reply: Reply): number {
  if (request.data !== undefined) return request.data.length
  return request.replyBuffer !== undefined && typeof reply === 'object' ? reply.bytes.length - FuseSize.outHeader : 0
}

/** Serves one tree to the kernel over a device that somebody else opened, mounted and will close. */
export class Session {
  readonly #options: SessionOptions
  readonly #device: Device
  readonly #log: Logger
  readonly #buffers: BufferPool
  readonly #files: OpenFiles
  readonly #notifier: Notifier
  readonly #sizes: LostSizes
  readonly #served: Served
  readonly #ready = deferred<Negotiated>()
  readonly #ended = deferred<DeviceEnd | 'closed'>()
  readonly #meter: Meter | undefined
  readonly #requests = new RequestsInFlight((request) => {
    this.#giveUp(request)
  })
  readonly #bare = newFuseMessage(0)
  /** For the next request, while none is in flight, and for the end of those that are. */
  readonly #waits = { request: new ShortWait(), answer: new ShortWait() } as const
  #negotiated: Negotiated | undefined
  #state: State = 'new'
  #held: HeldRequests | undefined
  #incoming: PooledBuffer
  #isFull = false
  #burst = 1
  #bursts = 0

  constructor(options: SessionOptions) {
    const { tree, device, log, generation } = options
    const numbers = new FileHandleNumbers(generation)
    this.#options = options
    this.#meter = options.meter
    this.#device = device
    this.#log = log
    this.#buffers = new BufferPool(options.memoryLimit ?? MEMORY_LIMIT)
    this.#incoming = this.#buffers.take(LARGEST_BUFFER)
    this.#files = new OpenFiles(tree, numbers, options.handleKeeper)
    this.#notifier = new Notifier(device, log)
    this.#negotiated = options.negotiated
    this.#sizes = new LostSizes(device, {
      isWrittenBack: () => this.#negotiated !== undefined && isWrittenBack(this.#negotiated),
      log,
    })
    this.#served = {
      tree,
      files: this.#files,
      directories: new OpenDirectories(numbers),
      buffers: this.#buffers,
      requests: this.#requests,
      notifier: this.#notifier,
      sizes: this.#sizes,
      log,
      negotiate: (request) => this.#negotiate(request),
    }
  }

  /** Resolves when the kernel's INIT is answered, at once for a successor. Rejects when the mount ends before. */
  get ready(): Promise<Negotiated> {
    return this.#ready.promise
  }

  /** Resolves when nothing is served any more and all files are closed; rejects when serving failed. */
  get ended(): Promise<DeviceEnd | 'closed'> {
    return this.#ended.promise
  }

  /** Takes over what a dead predecessor had open. Once per successor, before `start`. Resolves without the cluster. */
  restore(handles: readonly OpenHandle[]): Promise<void> {
    return this.#files.restore(handles, this.#log)
  }

  /** A predecessor may have answered the truncation of a volume, and not told the size that it has. Before `start`. */
  restoreSize(file: File, size: number): void {
    this.#sizes.restore(file, size)
  }

  /**
   * Takes requests before the tree can be served: those that need it wait for `start`, or fail when one has waited for `limitMs()`
   * by then.
   */
  hold(limitMs: () => number): void {
    if (this.#state !== 'new') return
    this.#held = new HeldRequests(limitMs)
    this.#take('holding')
  }

  /** Serves. What ended while it was holding stays so. */
  start(): void {
    if (this.#state !== 'new' && this.#state !== 'holding') return
    this.#notifier.start(this.#options.tree)
    if (this.#state === 'new') this.#take('serving')
    this.#state = 'serving'
    this.#held?.release()
    this.#held = undefined
  }

  /** Ends now, before it serves. What it holds is left to a successor. */
  destroy(): void {
    this.#finish('closed')
  }

  #take(state: State): void {
    this.#state = state
    if (this.#options.negotiated !== undefined) this.#ready.resolve(this.#options.negotiated)
    this.#device.start(this.#receive)
  }

  /**
   * Makes the kernel send again what a dead predecessor took and did not answer. Once per successor, before `start`.
   * Errors: not-supported before Linux 6.9, but for a mount on which nothing was negotiated yet: there it was made anew
   * (docs/fuse-kernel-protocol.md#12).
   */
  resend(): void {
    try {
      this.#device.send(notifyResend())
    } catch (error) {
      if (this.#options.negotiated === undefined) return
      throw new SheepfsError('not-supported', 'this kernel cannot send requests again (Linux 6.9 can)', {
        cause: error,
      })
    }
  }

  /** Takes no more requests, answers those in flight, closes the files. The mount goes on, for a successor. */
  async close(): Promise<void> {
    await this.#closeNotifications() // one may wait in the kernel for an answer of ours (docs/fuse-kernel-protocol.md#10)
    if (this.#state === 'new' || this.#isTaking) {
      this.#state = 'draining'
      this.#device.close()
      if (this.#requests.count === 0) this.#finish('closed')
    }
    await this.ended
  }

  get #isTaking(): boolean {
    return this.#state === 'serving' || this.#state === 'holding'
  }

  readonly #receive = (): void => {
    try {
      this.#receiveBurst()
    } catch (error) {
      this.#finish(error)
    }
  }

  /**
   * Reads as many requests as there were last time, and now and then tries for more: to be told that there is none costs
   * as much as several reads (docs/fuse-kernel-protocol.md#13), and the device wakes again when one was left.
   */
  #receiveBurst(): void {
    const isTrial = ++this.#bursts % TRIAL_EVERY === 0
    const limit = isTrial ? Math.min(this.#burst * 2, MAX_BURST) : this.#burst
    let taken = 0
    for (; taken < limit && this.#isTaking; taken++) {
      this.#isFull = !this.#buffers.hasRoom
      if (this.#isFull) return
      const length = this.#device.receive(this.#incoming.bytes)
      if (typeof length === 'string') {
        this.#finish(length)
        return
      }
      if (length === 0) break
      this.#accept(length)
    }
    if (taken < limit || isTrial) this.#burst = Math.max(taken, 1)
    this.#device.awaken()
  }

  #accept(length: number): void {
    const request = this.#held ? this.#copyOf(length) : new Request(this.#incoming.view, length)
    const operation = OPERATIONS.get(request.opcode)
    this.#requests.add(request)
    this.#waits.request.end()
    if (this.#requests.count <= FEW_IN_FLIGHT) this.#waits.answer.begin()
    if (operation === undefined) {
      this.#log.debug({ opcode: request.opcode }, 'an operation that is not served')
      this.#answer(request, ENOSYS)
    } else if (length < ARGS + operation.argsSize || FuseInHeader.len.get(request.view) !== length) {
      this.#log.warn({ operation: operation.name, length }, 'a request of an impossible length')
      this.#answer(request, EINVAL)
    } else {
      if (operation.keepsData === true) this.#keepData(request, ARGS + operation.argsSize)
      void this.#run(operation, request)
    }
  }

  /** The request in a buffer of its own. */
  #copyOf(length: number): Request {
    const buffer = this.#buffers.take(length)
    buffer.bytes.set(this.#incoming.bytes.subarray(0, length))
    const request = new Request(buffer.view, length)
    request.dataBuffer = buffer
    return request
  }

  /** Large data stay where they are and the session goes on with another buffer; small ones are copied. */
  #keepData(request: Request, start: number): void {
    const length = request.length - start
    if (request.dataBuffer !== undefined) {
      request.data = request.dataBuffer.bytes.subarray(start, request.length)
    } else if (length >= KEEP_FROM) {
      request.dataBuffer = this.#incoming
      request.data = this.#incoming.bytes.subarray(start, request.length)
      this.#incoming = this.#buffers.take(LARGEST_BUFFER)
    } else {
      request.dataBuffer = this.#buffers.take(length)
      request.data = request.dataBuffer.bytes.subarray(0, length)
      request.data.set(this.#incoming.bytes.subarray(start, request.length))
    }
  }

  async #run(operation: Operation, request: Request): Promise<void> {
    const measured = this.#meter?.begin(operation.name, request.nodeid)
    if (this.#meter && request.isResent) this.#meter.resent++
    let reply: Reply
    try {
      if (this.#held && operation.needsTree === true) await this.#held.hold()
      const outcome = operation.handle(this.#served, request)
      reply = outcome instanceof Promise ? await outcome : outcome
    } catch (error) {
      reply = errnoOf(error, operation.name, this.#log)
    }
    if (measured) this.#meter?.end(measured, payloadBytes(request, reply), typeof reply === 'number' && reply !== 0)
    this.#answer(request, reply)
  }

  #answer(request: Request, reply: Reply): void {
    if (reply !== NO_REPLY && !request.isGivenUp) this.#send(request, reply)
    request.onAnswered?.()
    if (request.dataBuffer !== undefined) this.#buffers.give(request.dataBuffer)
    if (request.replyBuffer !== undefined) this.#buffers.give(request.replyBuffer)
    this.#requests.delete(request)
    this.#waits.answer.end()
    if (this.#requests.count === 0) this.#waits.request.begin()
    else if (this.#requests.count <= FEW_IN_FLIGHT) this.#waits.answer.begin()
    if (this.#isFull && this.#buffers.hasRoom && this.#isTaking) {
      this.#isFull = false
      this.#device.awaken()
    }
    if (this.#state === 'draining' && this.#requests.count === 0) this.#finish('closed')
  }

  /** Its requester waits no longer; it is served to its end, and holds its memory and its ranges until then. */
  #giveUp(request: Request): void {
    this.#log.info({ pid: request.pid, opcode: request.opcode }, 'a process is killed while it waits: EINTR')
    this.#send(request, EINTR)
  }

  #send(request: Request, reply: FuseMessage | number): void {
    if (this.#state === 'ended') return
    try {
      if (typeof reply === 'number') this.#sendError(request, reply)
      else this.#sendMessage(request, reply, 0)
    } catch (error) {
      this.#log.error({ err: error, opcode: request.opcode }, 'the kernel refused a reply')
      this.#sendErrorInstead(request)
    }
  }

  /**
   * A refused reply leaves the request waiting, unless the kernel has already failed it
   * (docs/fuse-kernel-protocol.md#2).
   */
  #sendErrorInstead(request: Request): void {
    try {
      this.#sendError(request, EIO)
    } catch (error) {
      this.#finish(error)
    }
  }

  #sendError(request: Request, errno: number): void {
    this.#sendMessage(request, this.#bare, errno === 0 ? 0 : -errno)
  }

  #sendMessage(request: Request, { bytes, view }: FuseMessage, error: number): void {
    setReplyHeader(view, bytes.length, error)
    FuseOutHeader.uniqueLow.set(view, request.uniqueLow)
    FuseOutHeader.uniqueHigh.set(view, request.uniqueHigh)
    this.#device.send(bytes)
  }

  #negotiate(request: Request): Reply {
    const outcome = negotiate(request, this.#options)
    if (outcome === undefined) {
      this.#finish(new SheepfsError('not-supported', 'the kernel speaks a FUSE protocol before 7.0'))
      return EPROTO
    }
    this.#negotiated = outcome.negotiated
    if (outcome.negotiated !== undefined) this.#ready.resolve(outcome.negotiated)
    return outcome.reply
  }

  #finish(end: unknown): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#held?.end()
    this.#device.close()
    this.#ready.reject(new SheepfsError('closed', 'the mount ended before the kernel could use it'))
    void this.#cleanUp(end)
  }

  async #closeNotifications(): Promise<void> {
    await Promise.all([this.#notifier.close(), this.#sizes.close()])
  }

  async #cleanUp(end: unknown): Promise<void> {
    await this.#closeNotifications()
    this.#options.tree.handOver?.()
    await this.#files.closeAll().catch((error: unknown) => {
      this.#log.error({ err: error }, 'a file could not be closed')
    })
    if (end === 'unmounted' || end === 'aborted' || end === 'closed') this.#ended.resolve(end)
    else this.#ended.reject(end)
  }
}
