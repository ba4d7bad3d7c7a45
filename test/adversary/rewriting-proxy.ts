import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import type { Address } from '../../src/sheep/address.ts'
import { viewOf } from '../../src/wire/field.ts'
import { Framer } from '../../src/wire/framer.ts'
import { NODE_RECORD_SIZE } from '../../src/wire/node-record.ts'
import { readOid, type ObjectId } from '../../src/wire/object-id.ts'
import { Flag, Opcode, Req, ReqObj, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'

/** Where a record of a node has it. */
const PORT = 40

/** An answer on its way, and what was asked. A lie changes its header and its payload. */
export interface Answer {
  readonly opcode: number
  readonly header: DataView
  payload: Uint8Array
  /** Bytes that were wanted. */
  readonly wanted: number
  /** Of object requests. */
  readonly oid: ObjectId
  readonly offset: number
}

/** Bytes in the place of the answer; nothing: the answer as it was changed. */
export type Spoilt = Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined

/** Between a client and a sheep: passes questions on, and answers that a lie may have rewritten. */
export class RewritingProxy {
  readonly #sockets = new Set<Socket>()
  readonly #target: Address
  readonly #server
  /** What is done to answers. */
  lie: ((answer: Answer) => Spoilt) | undefined

  constructor(target: Address) {
    this.#target = target
    this.#server = createServer((client) => {
      this.#serve(client)
    })
  }

  /** A proxy that goes with the test. It listens on all loopback addresses: what a node list names may be there. */
  static async start(context: TestContext, target: Address): Promise<RewritingProxy> {
    const proxy = new RewritingProxy(target)
    context.after(() => {
      proxy.#server.close()
      proxy.cutAll()
    })
    proxy.#server.listen(0)
    await once(proxy.#server, 'listening')
    return proxy
  }

  get address(): Address {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port }
  }

  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  #serve(client: Socket): void {
    const sheep = connect(this.#target)
    const asked = new Map<number, DataView>()
    for (const [socket, other] of [
      [client, sheep],
      [sheep, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay()
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    feed(client, requestLength, (header, payload) => {
      asked.set(Req.id.get(header), header)
      sheep.write(Buffer.concat([bytesOf(header), payload]))
    })
    feed(
      sheep,
      (header) => Rsp.dataLength.get(header),
      (header, payload) => {
        const request = asked.get(Rsp.id.get(header))
        asked.delete(Rsp.id.get(header))
        if (!request) return
        const answer = toAnswer(request, header, payload)
        if (answer.opcode === Opcode.GET_NODE_LIST) this.#nameItself(answer)
        this.#pass(client, answer).catch(() => client.destroy()) // the client has gone
      },
    )
  }

  /** The client shall find all of the cluster here. */
  #nameItself({ payload }: Answer): void {
    const view = viewOf(payload)
    for (let at = 0; at < payload.length; at += NODE_RECORD_SIZE) view.setUint16(at + PORT, this.address.port, true)
  }

  async #pass(client: Socket, answer: Answer): Promise<void> {
    const spoilt = this.lie?.(answer)
    if (!spoilt) {
      Rsp.dataLength.set(answer.header, answer.payload.length)
      client.write(encode(answer))
      return
    }
    for await (const bytes of spoilt) {
      if (client.destroyed) return
      if (!client.write(bytes)) await Promise.race([once(client, 'drain'), once(client, 'close')])
    }
  }
}

/** The answer with the length that its header says. */
export function encode({ header, payload }: Answer): Uint8Array {
  return Buffer.concat([bytesOf(header), payload])
}

function toAnswer(request: DataView, header: DataView, payload: Uint8Array): Answer {
  return {
    opcode: Req.opcode.get(request),
    header,
    payload,
    wanted: (Req.flags.get(request) & Flag.WRITE) === 0 ? Req.dataLength.get(request) : 0,
    oid: readOid(request, ReqObj.oid.offset),
    offset: ReqObj.offset.get(request),
  }
}

/** Cuts what a socket brings into messages of their own memory. */
function feed(
  socket: Socket,
  payloadLength: (header: DataView) => number,
  take: (header: DataView, payload: Uint8Array) => void,
): void {
  const framer = new Framer({
    payloadLength,
    payloadBuffer: (_, length) => new Uint8Array(length),
    frame: (header, payload) => {
      take(viewOf(bytesOf(header).slice()), payload)
    },
  })
  socket.on('data', (chunk) => {
    for (let at = 0; at < chunk.length;) {
      const into = framer.buffer()
      const part = chunk.subarray(at, at + into.length)
      into.set(part)
      framer.advance(part.length)
      at += part.length
    }
  })
}

function requestLength(header: DataView): number {
  return (Req.flags.get(header) & Flag.WRITE) === 0 ? 0 : Req.dataLength.get(header)
}

function bytesOf(header: DataView): Uint8Array {
  return new Uint8Array(header.buffer, header.byteOffset, SD_HEADER_SIZE)
}
