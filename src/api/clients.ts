import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { refuseEarly, unreadableProblem } from './early-refusal.ts'
import { createServer } from './node-http.ts'
import { Pace } from './pace.ts'
import { httpProblem, Overloaded } from './problem.ts'
import type { SocketLimits } from './socket-limits.ts'

/** How often connections are looked at whose time is over, at most, ms. */
const LONGEST_CHECK_MS = 1000
const REFUSAL_MS = 1000
/** What is parsed at once: hardly more than one request. */
const PIECE = 256

/** What is not answered at once: event streams, and what may have to wait for a cluster. */
export type LongRequest = 'streams' | 'waiting'

const LONG_REQUESTS = { streams: 'event streams', waiting: 'requests about clusters' } as const

/** The connections of a socket, held to its limits. */
export class Clients {
  readonly #limits: SocketLimits
  /** Those without a whole request, the longest first. */
  readonly #idle = new Set<Socket>()
  /** Those that have a request, whole or not, without an answer. */
  readonly #asking = new Set<Socket>()
  /** Those that have a whole one. */
  readonly #working = new Set<Socket>()
  /** Those that are heard no more, and dropped soon. */
  readonly #unheard = new WeakSet<Socket>()
  /** Of those that work, whose answer takes long. */
  readonly #long = { streams: new Set<Socket>(), waiting: new Set<Socket>() }
  readonly #pace: Pace

  constructor(limits: SocketLimits) {
    this.#limits = limits
    this.#pace = new Pace(limits.requestsPerSecond)
  }

  /** What listens for an application whose requests are answered by `handle`. */
  newServer(handle: RequestListener): Server {
    const { headMs, requestMs, idleMs, unreadMs } = this.#limits
    const connectionsCheckingInterval = Math.min(headMs, LONGEST_CHECK_MS)
    const times = { headersTimeout: headMs, requestTimeout: requestMs, keepAliveTimeout: idleMs }
    const server = createServer(
      { ...times, connectionsCheckingInterval, requireHostHeader: false },
      (request, response) => {
        const { socket } = request
        if (!this.#begin(socket)) return
        response.once('close', () => {
          this.#end(socket)
        })
        process.nextTick(() => {
          if (this.#isHeard(socket)) handle(request, response) // it was the only one in what has come
        })
      },
    )
    server.setTimeout(unreadMs)
    server.on('checkExpectation', ({ socket, headers }: IncomingMessage) => {
      refuseEarly(socket, httpProblem(417, `expect: found "${headers.expect ?? ''}", expected 100-continue or none`))
    })
    server.on('connect', (_: IncomingMessage, socket: Duplex) => {
      refuseEarly(socket, httpProblem(405, 'CONNECT is not possible here: expected another method'))
    })
    server.on('connection', (socket: Socket) => {
      this.#add(socket)
    })
    return server
  }

  /** What came is no request. Whoever waits for an answer would take this for it. */
  refuse(socket: Socket, error: NodeJS.ErrnoException): void {
    if (error.code === 'ECONNRESET' || this.#working.has(socket)) socket.destroy()
    else refuseEarly(socket, unreadableProblem(error))
  }

  /** Resolves when a whole request may be answered. Errors: overloaded. */
  async admit({ socket }: IncomingMessage, long: LongRequest | undefined): Promise<void> {
    if (!this.#has(socket)) return // of a test that injects
    if (long !== undefined) {
      if (this.#long[long].size >= this.#limits[long]) {
        await setTimeout(REFUSAL_MS) // who is refused at once asks again at once
        throw new Overloaded(`${this.#limits[long]} ${LONG_REQUESTS[long]} are under way, as many as may be`)
      }
      this.#long[long].add(socket)
    }
    this.#idle.delete(socket)
    this.#working.add(socket)
    socket.setTimeout(0) // from here on it is the daemon that takes its time
    await this.#pace.turn(socket)
  }

  /** An answer is being sent: the client has to take it. */
  answer({ socket }: IncomingMessage): void {
    if (this.#has(socket)) socket.setTimeout(this.#limits.unreadMs)
  }

  #add(socket: Socket): void {
    readInPieces(socket, () => this.#isHeard(socket))
    this.#idle.add(socket)
    socket.once('close', () => {
      this.#forget(socket)
    })
    if (this.#idle.size + this.#working.size <= this.#limits.connections) return
    const [longest = socket] = this.#idle
    this.#drop(longest)
  }

  /** False for who asks before he has the last answer: of a connection that is full of requests only the first is one. */
  #begin(socket: Socket): boolean {
    if (socket.destroyed) return false
    if (this.#asking.has(socket)) {
      this.#hearNoMore(socket)
      return false
    }
    this.#asking.add(socket)
    return true
  }

  #end(socket: Socket): void {
    if (!this.#has(socket)) return
    this.#forget(socket)
    this.#idle.add(socket)
  }

  #has(socket: Socket): boolean {
    return this.#idle.has(socket) || this.#working.has(socket)
  }

  #isHeard(socket: Socket): boolean {
    return !socket.destroyed && !this.#unheard.has(socket)
  }

  /** Who is dropped at once is back at once: until he is, he keeps the place that he has. */
  #hearNoMore(socket: Socket): void {
    if (this.#unheard.has(socket)) return
    this.#unheard.add(socket)
    socket.pause()
    void setTimeout(REFUSAL_MS, undefined, { ref: false }).then(() => {
      this.#drop(socket)
    })
  }

  #drop(socket: Socket): void {
    this.#forget(socket)
    socket.destroy()
  }

  #forget(socket: Socket): void {
    this.#idle.delete(socket)
    this.#asking.delete(socket)
    this.#working.delete(socket)
    for (const sockets of Object.values(this.#long)) sockets.delete(socket)
  }
}

/**
 * Node.js parses all that has come at once, which may be 2600 requests in 64 KiB: in pieces, so that a client who is dropped
 * for the second of them costs no more than that.
 */
function readInPieces(socket: Socket, isHeard: () => boolean): void {
  const parsers = socket.listeners('data')
  socket.removeAllListeners('data')
  socket.on('data', (data: Buffer) => {
    for (let at = 0; at < data.length && isHeard(); at += PIECE) {
      for (const parse of parsers) parse.call(socket, data.subarray(at, at + PIECE))
    }
  })
}
