import { every, type Timer } from '../clock.ts'
import { SheepfsError, errorText } from '../errors.ts'
import { Framer } from '../wire/framer.ts'
import { toResponse, type Message, type Response } from '../wire/message.ts'
import { restoreTrimmed } from '../wire/object-ops.ts'
import { Opcode, Req, Result, resultName, Rsp, SD_HEADER_SIZE } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import { Link, mayChange, type Pending } from './pending-request.ts'
import { socketFailureText } from './socket-failure.ts'
import type { Stream, World } from './world.ts'

export interface ConnectionOptions {
  readonly world: World
  /** How long to wait for TCP to connect. */
  readonly connectTimeoutMs: number
  /**
   * How long a request may go unanswered before the sheep counts as dead, on a slow link longer (Link); read anew at every
   * check.
   */
  readonly deadlineMs: () => number
  /** Whether the cluster is one that cuts zeros from reads (up to 0.7); else a short read is a broken stream. */
  readonly trimsZeros: () => boolean
  /** How long a request may go unanswered that another sheep can answer. */
  readonly patienceMs?: number
  /** Told when a request has gone unanswered for `afterMs`, and when none has any more. */
  readonly silence?: { readonly afterMs: number; readonly onChange: (isSilent: boolean) => void }
}

/** `hadChanges`: requests that may change something were in flight, and may still be executed. */
type OnClosed = (error: SheepfsError, hadChanges: boolean) => void

const LONGEST_DEADLINE_CHECK_MS = 500

/**
 * One pipelined TCP connection to a sheep. Responses come in any order and are paired by id
 * (docs/sheepdog-protocol.md#1.6). Whatever goes wrong (loss, a deadline, a stream that cannot be right) ends it once:
 * everything in flight rejects with unreachable, timeout or protocol, and `onClosed` is called.
 */
export class Connection {
  readonly address: Address
  readonly #stream: Stream
  readonly #options: ConnectionOptions
  /** Requests on the wire, by id, oldest first. An entry leaves exactly once: response or end of the connection. */
  readonly #pending = new Map<number, Pending>()
  readonly #framer: Framer
  readonly #link = new Link()
  readonly #onClosed: OnClosed
  #nextId = 1
  #isSilent = false
  #answeredAt: number
  #epoch = 0
  #closed: SheepfsError | undefined
  /** Until it is connected: of the time for that; then of the deadlines. */
  #timer: Timer | undefined
  #opening: { readonly resolve: () => void; readonly reject: (error: SheepfsError) => void } | undefined

  #peer: Address

  private constructor(address: Address, options: ConnectionOptions, onClosed: OnClosed) {
    this.address = address
    this.#peer = address
    this.#options = options
    this.#onClosed = onClosed
    this.#answeredAt = options.world.clock.now()
    this.#framer = new Framer({
      payloadLength: (header) => this.#payloadLength(header),
      payloadBuffer: (header, length) => this.#payloadBuffer(header, length),
      frame: (header, payload) => {
        this.#respond(header, payload)
      },
    })
    this.#stream = options.world.dial(address, {
      connected: (peer) => {
        this.#peer = peer ?? address
        this.#begin()
      },
      buffer: () => this.#framer.buffer(),
      received: (length) => this.#receive(length),
      ended: (error) => {
        const why = error ? socketFailureText(error) : 'the sheep closed the connection'
        this.#lose('unreachable', why, error)
      },
    })
  }

  /** Resolves when TCP is connected. Errors: unreachable, timeout. `onClosed` is called once, after that. */
  static open(address: Address, options: ConnectionOptions, onClosed: OnClosed): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const connection = new Connection(address, options, onClosed)
      connection.#opening = {
        resolve: () => {
          resolve(connection)
        },
        reject,
      }
      const { world, connectTimeoutMs } = options
      connection.#timer = world.clock.after(connectTimeoutMs, () => {
        connection.#lose('timeout', `no connection within ${connectTimeoutMs / 1000} s`)
      })
    })
  }

  /** Where it leads to: a name may stand for several sheep, and is no name that the cluster knows. */
  get peer(): Address {
    return this.#peer
  }

  /** Requests without a response. */
  get inFlight(): number {
    return this.#pending.size
  }

  /** The latest epoch that the sheep has answered with: what is sent from now on is executed in this one or a later one. */
  get epoch(): number {
    return this.#epoch
  }

  /** Whether a request has gone unanswered for longer than is usual. */
  get isSilent(): boolean {
    return this.#isSilent
  }

  /** When an answer came last, or it was made: a time of the clock. */
  get answeredAt(): number {
    return this.#answeredAt
  }

  /** Whether requests wait, and none has been answered for longer than one waits that another sheep can answer. */
  get isSlow(): boolean {
    const { world, patienceMs = Infinity } = this.#options
    const [oldest] = this.#pending.values()
    return oldest !== undefined && world.clock.now() - Math.max(oldest.sentAt, this.#answeredAt) > patienceMs
  }

  /** Why the connection has ended; undefined while it serves. */
  get closed(): SheepfsError | undefined {
    return this.#closed
  }

  /**
   * Sends a request and resolves with its response, whatever the result. With `into`, which is as long as what is wanted,
   * the payload of a success is received there. Rejects when the connection ends before; the request may have been
   * executed then. One that is replaceable rejects with timeout when the sheep takes long; what comes later goes nowhere.
   */
  exchange(message: Message, into?: Uint8Array, { isReplaceable = false } = {}): Promise<Response> {
    if (this.#closed) return Promise.reject(this.#closed)
    const id = this.#takeId()
    const header = new Uint8Array(SD_HEADER_SIZE)
    header.set(new Uint8Array(message.header.buffer, message.header.byteOffset, SD_HEADER_SIZE))
    Req.id.set(new DataView(header.buffer), id)
    return new Promise((resolve, reject) => {
      this.#pending.set(id, {
        opcode: Req.opcode.get(message.header),
        isChange: mayChange(message),
        wanted: message.wanted,
        into,
        isArriving: false,
        isReplaceable,
        sentAt: this.#options.world.clock.now(),
        passage: this.#link.send(message),
        resolve,
        reject,
      })
      this.#stream.write(header)
      if (message.payload && message.payload.length > 0) this.#stream.write(message.payload)
    })
  }

  /**
   * Ends the connection now. Idempotent. With requests in flight it is reset, not closed: a sheep that has not read them
   * yet sees an error first, and drops them.
   */
  destroy(error: SheepfsError): void {
    if (this.#closed) return
    this.#closed = error
    this.#timer?.cancel()
    const pending = [...this.#pending.values()]
    if (pending.length > 0) this.#stream.reset()
    else this.#stream.destroy()
    this.#pending.clear()
    for (const { reject } of pending) reject(error)
    if (this.#opening) this.#opening.reject(error)
    else
      this.#onClosed(
        error,
        pending.some(({ isChange }) => isChange),
      )
  }

  #begin(): void {
    this.#timer?.cancel()
    const opening = this.#opening
    this.#opening = undefined
    const { world, deadlineMs, silence, patienceMs = Infinity } = this.#options
    const limits = [deadlineMs(), silence?.afterMs ?? Infinity, patienceMs].map((ms) => ms / 4)
    const checkMs = Math.min(LONGEST_DEADLINE_CHECK_MS, ...limits)
    this.#timer = every(world.clock, checkMs, () => {
      this.#checkDeadline()
    })
    opening?.resolve()
  }

  #lose(code: 'unreachable' | 'timeout' | 'protocol', why: string, cause?: unknown): void {
    this.destroy(new SheepfsError(code, `sheep ${addressText(this.address)}: ${why}`, { cause }))
  }

  #takeId(): number {
    do this.#nextId = (this.#nextId + 1) >>> 0
    while (this.#pending.has(this.#nextId))
    return this.#nextId
  }

  #receive(length: number): boolean {
    this.#link.receive(length)
    try {
      this.#framer.advance(length)
    } catch (error) {
      this.#lose('protocol', errorText(error), error)
    }
    return this.#closed === undefined
  }

  #pendingOf(header: DataView): Pending {
    const id = Rsp.id.get(header)
    const pending = this.#pending.get(id)
    if (!pending) throw new RangeError(`a response to request ${id}, which was never sent`)
    return pending
  }

  #payloadLength(header: DataView): number {
    const pending = this.#pendingOf(header)
    const opcode = Rsp.opcode.get(header)
    const length = Rsp.dataLength.get(header)
    const result = Rsp.result.get(header)
    if (opcode !== pending.opcode) throw new RangeError(`a response of opcode ${opcode} to one of ${pending.opcode}`)
    if (length > pending.wanted) throw new RangeError(`${length} bytes in response to a request for ${pending.wanted}`)
    if (resultName(result) === undefined) throw new RangeError(`a response with the unknown result ${result}`)
    const isShortRead = opcode === Opcode.READ_OBJ && result === Result.SUCCESS && length < pending.wanted
    if (isShortRead && !this.#options.trimsZeros()) throw new RangeError(`${length} of ${pending.wanted} bytes read`)
    return length
  }

  #payloadBuffer(header: DataView, length: number): Uint8Array {
    const pending = this.#pendingOf(header)
    pending.isArriving = true
    return pending.into?.subarray(0, length) ?? Buffer.allocUnsafe(length)
  }

  #respond(header: DataView, payload: Uint8Array): void {
    const pending = this.#pendingOf(header)
    const response = toResponse(header, payload)
    if (response.epoch < this.#epoch) {
      this.#lose('unreachable', `its epoch has gone back from ${this.#epoch} to ${response.epoch}: was it formatted?`)
      return
    }
    this.#pending.delete(Rsp.id.get(header))
    this.#answeredAt = this.#options.world.clock.now()
    this.#link.end(pending.passage, SD_HEADER_SIZE + payload.length)
    this.#epoch = response.epoch
    if (pending.opcode === Opcode.READ_OBJ && response.result === Result.SUCCESS && pending.into) {
      restoreTrimmed(pending.into, payload.length, response.header)
    }
    pending.resolve(response)
  }

  #checkDeadline(): void {
    const [oldest] = this.#pending.values()
    const waitedMs = oldest ? this.#options.world.clock.now() - oldest.sentAt : 0
    const limitMs = this.#options.deadlineMs() + (oldest ? this.#link.extraMs(oldest.passage) : 0)
    if (waitedMs > limitMs) this.#lose('timeout', `no answer for ${Math.round(waitedMs / 1000)} s`)
    else {
      this.#noticeSilence(waitedMs)
      if (waitedMs > (this.#options.patienceMs ?? Infinity)) this.#letGo()
    }
  }

  /** Of what has waited for long and others can answer. */
  #letGo(): void {
    const { world, patienceMs = Infinity } = this.#options
    const latest = world.clock.now() - patienceMs
    for (const pending of this.#pending.values()) {
      if (pending.sentAt > latest) break
      if (!pending.isReplaceable || pending.isArriving) continue
      pending.isReplaceable = false
      pending.into = undefined
      const text = `sheep ${addressText(this.address)}: no answer for ${patienceMs / 1000} s`
      pending.reject(new SheepfsError('timeout', text))
    }
  }

  #noticeSilence(waitedMs: number): void {
    const { silence } = this.#options
    if (!silence || waitedMs > silence.afterMs === this.#isSilent) return
    this.#isSilent = !this.#isSilent
    silence.onChange(this.#isSilent)
  }
}
