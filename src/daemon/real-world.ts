import { connect, type Socket } from 'node:net'
import type { Address } from '../sheep/address.ts'
import type { Receiver, Stream, World } from '../sheep/world.ts'
import { systemClock } from '../system-clock.ts'

const KEEPALIVE_DELAY_MS = 15_000

/** A TCP connection. What is received goes into the receiver's buffers, and what is written out of the writer's, uncopied. */
class TcpStream implements Stream {
  readonly #socket: Socket
  #isCorked = false

  constructor({ host, port }: Address, receiver: Receiver) {
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_DELAY_MS,
      onread: { buffer: () => receiver.buffer(), callback: (length) => receiver.received(length) },
    })
    this.#socket.once('connect', () => {
      receiver.connected(peerOf(this.#socket))
    })
    this.#socket.on('error', (error) => {
      receiver.ended(error)
    })
    for (const end of ['end', 'close']) {
      this.#socket.once(end, () => {
        receiver.ended(undefined)
      })
    }
  }

  write(bytes: Uint8Array): void {
    this.#cork()
    this.#socket.write(bytes)
  }

  destroy(): void {
    this.#socket.destroy()
  }

  reset(): void {
    this.#socket.resetAndDestroy()
  }

  /** What is sent in one turn of the event loop leaves in one system call. */
  #cork(): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#socket.cork()
    process.nextTick(() => {
      this.#isCorked = false
      this.#socket.uncork()
    })
  }
}

/** An IPv4 address as such, also where an IPv6 socket shows it. */
function peerOf({ remoteAddress, remotePort }: Socket): Address | undefined {
  if (remoteAddress === undefined || remotePort === undefined) return undefined // ended already
  return { host: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), port: remotePort }
}

/** The machine's clock and its network. */
export const realWorld: World = { clock: systemClock, dial: (address, receiver) => new TcpStream(address, receiver) }
