import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Framer } from '../../src/wire/framer.ts'
import { toResponse, type Message, type Response } from '../../src/wire/message.ts'
import { Req, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'

/** A bare client: sends what it is told, pairs answers with requests by id, and knows no rules. */
export class WireClient {
  readonly #socket: Socket
  readonly #waiting = new Map<number, { resolve: (response: Response) => void; reject: (error: Error) => void }>()
  readonly #framer = new Framer({
    payloadLength: (header) => Rsp.dataLength.get(header),
    payloadBuffer: (_header, length) => new Uint8Array(length),
    frame: (header, payload) => {
      const id = Rsp.id.get(header)
      this.answered.push(id)
      this.#waiting.get(id)?.resolve(toResponse(header, payload))
      this.#waiting.delete(id)
    },
  })
  #nextId = 1
  /** Ids in the order of their answers. */
  readonly answered: number[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length;) {
        const room = this.#framer.buffer()
        const part = chunk.subarray(at, at + room.length)
        room.set(part)
        this.#framer.advance(part.length)
        at += part.length
      }
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the connection is closed'))
      this.#waiting.clear()
    })
  }

  static async connect(port: number): Promise<WireClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new WireClient(socket)
  }

  /** Sends a message under an id of its own. */
  async call(message: Message): Promise<Response> {
    Req.id.set(message.header, this.#nextId++)
    return this.exchange(new Uint8Array(message.header.buffer), message.payload)
  }

  /** Sends a header as it is. */
  async exchange(header: Uint8Array, payload?: Uint8Array): Promise<Response> {
    const id = Req.id.get(new DataView(header.buffer, header.byteOffset, SD_HEADER_SIZE))
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#socket.cork()
      this.#socket.write(header)
      if (payload && payload.length > 0) this.#socket.write(payload)
      this.#socket.uncork()
    })
  }

  close(): void {
    this.#socket.destroy()
  }
}
