import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { errorText, SheepfsError } from '../../errors.ts'
import { FRAME_HEADER_SIZE, FrameReader } from './frame-reader.ts'
import { restAfterWork } from './rest-after-work.ts'

export interface ChannelOptions<Received> {
  /** Errors: whatever is wrong with a message. */
  readonly read: (value: unknown) => Received
  /** Bytes of a message, at most. */
  readonly mostReceived: number
  readonly mostSent: number
  /** Bytes that may wait for the other side to read them, when there is more to send. */
  readonly mostWaiting: number
}

interface ChannelEvents<Received> {
  /** With the bytes it had. What a listener throws is a breach. */
  message: [Received, number]
  /** The other side keeps to no protocol: nothing is heard of it any more. */
  breach: [unknown]
  /** Once, when nothing can be sent or heard any more. */
  close: []
}

/**
 * Messages between two processes that need not trust each other: JSON in frames of bounded length over a socket. Node's own
 * channel between processes buffers frames of any length, takes descriptors, and acts by itself on messages with names of
 * its own. As in any JSON, Infinity arrives as null.
 */
export class FrameChannel<Received, Sent extends object> extends EventEmitter<ChannelEvents<Received>> {
  readonly #socket: Duplex
  readonly #options: ChannelOptions<Received>
  readonly #reader: FrameReader
  #isOpen = true
  #isBroken = false

  constructor(socket: Duplex, options: ChannelOptions<Received>) {
    super()
    this.#socket = socket
    this.#options = options
    this.#reader = new FrameReader(options.mostReceived)
    socket.on('data', (bytes: Buffer) => {
      restAfterWork(socket, () => {
        this.#receive(bytes)
      })
    })
    socket.on('error', () => {
      socket.destroy() // whoever was at the other side has gone
    })
    socket.once('close', () => {
      this.#isOpen = false
      this.emit('close')
    })
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Sends after what was sent before, unless the other side has gone. Returns the bytes that were sent. Errors: too-large. */
  send(message: Sent): number {
    if (!this.#isOpen) return 0
    const { mostSent, mostWaiting } = this.#options
    const body = JSON.stringify(message)
    const length = Buffer.byteLength(body)
    if (length > mostSent)
      throw new SheepfsError('too-large', `a message of ${length} bytes, expected at most ${mostSent}`)
    if (this.#socket.writableLength > mostWaiting) {
      this.#break(new SheepfsError('protocol', `more than ${mostWaiting} bytes sent are not read`))
      return 0
    }
    const frame = Buffer.allocUnsafe(FRAME_HEADER_SIZE + length)
    frame.writeUInt32LE(length)
    frame.write(body, FRAME_HEADER_SIZE)
    this.#socket.write(frame)
    return length
  }

  /** Closes when the other side has been sent everything. */
  end(): void {
    this.#isOpen = false
    this.#socket.end(() => {
      this.#socket.destroy()
    })
  }

  destroy(): void {
    this.#isOpen = false
    this.#socket.destroy()
  }

  #receive(bytes: Buffer): void {
    if (this.#isBroken) return
    try {
      for (const body of this.#reader.push(bytes)) {
        this.emit('message', this.#options.read(parse(body)), body.length)
      }
    } catch (error) {
      this.#break(error)
    }
  }

  #break(error: unknown): void {
    if (this.#isBroken) return
    this.#isBroken = true
    this.emit('breach', error)
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch (cause) {
    throw new SheepfsError('protocol', `expected JSON: ${errorText(cause)}`, { cause })
  }
}
