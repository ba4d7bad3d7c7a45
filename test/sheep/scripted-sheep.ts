import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { Address } from '../../src/sheep/address.ts'
import { Framer } from '../../src/wire/framer.ts'
import type { Opcode } from '../../src/wire/sd-proto.ts'
import { Flag, Req, Result, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import { execute, type Answer } from './model-answers.ts'
import type { ModelCluster } from './model-cluster.ts'
import { isGatewayRequest, opcodeName, toSheepRequest, type SheepRequest } from './sheep-request.ts'
import type { SheepRules } from './sheep-rules.ts'

/** How an answer is spoilt. */
export type Lie = 'random bytes' | 'cut header' | 'long payload' | 'short payload' | 'foreign id' | 'result' | 'opcode'
export const LIES: readonly Lie[] = [
  'random bytes',
  'cut header',
  'long payload',
  'short payload',
  'foreign id',
  'result',
  'opcode',
]

/** What becomes of a request. */
export type Fate =
  | { readonly kind: 'answer'; readonly beforeMs?: number; readonly afterMs?: number }
  /** Answered with this result, and only executed if it says so. */
  | { readonly kind: 'refuse'; readonly result: number; readonly payload?: Uint8Array; readonly execute?: boolean }
  /** The connection breaks: before the request is executed, after it was, or it is executed some time later. */
  | { readonly kind: 'cut'; readonly execute: 'never' | 'first' | 'later'; readonly laterMs?: number }
  | { readonly kind: 'silent'; readonly execute: boolean }
  | { readonly kind: 'twice' }
  | { readonly kind: 'lie'; readonly lie: Lie }

/** Decides what becomes of each request. */
export type Script = (request: SheepRequest) => Fate

const ANSWER: Fate = { kind: 'answer' }
/** Below those that connections get by themselves: while it is dead, only another sheep could take the port of one. */
const FIRST_PORT = 10_000
const LAST_PORT = 32_000

/**
 * One daemon of a model cluster, on a TCP port of its own, that does what its script says with every request. Counts what
 * it gets; what it was sent and has not executed yet shows in its answer to STAT, also after the connection broke.
 */
export class ScriptedSheep {
  readonly #model: ModelCluster
  readonly #rules: SheepRules
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly counts = new Map<string, number>()
  readonly requests: SheepRequest[] = []
  script: Script = () => ANSWER
  /** Connections are taken, and nothing is ever read from them: a stopped process. */
  isStopped = false
  /** Gateway requests of its own, for STAT. */
  backgroundActive: () => number = () => 0
  #port = 0
  /** What it was sent and has not executed; gone with the process. */
  readonly #pending = new Set<SheepRequest>()

  constructor(model: ModelCluster, rules: SheepRules) {
    this.#model = model
    this.#rules = rules
    this.#server = createServer((socket) => {
      this.#serve(socket)
    })
  }

  /** What it was sent has been executed, or never will be. */
  get isIdle(): boolean {
    return this.#pending.size === 0
  }

  get address(): Address {
    return { host: '127.0.0.1', port: this.#port }
  }

  /** Connections now. */
  get connections(): number {
    return this.#sockets.size
  }

  /** Requests of this kind so far. */
  count(name: keyof typeof Opcode): number {
    return this.counts.get(name) ?? 0
  }

  /** Listens, on the port it had before if it had one. */
  async start(): Promise<void> {
    const known = this.#port
    for (;;) {
      if (known === 0) this.#port = randomInt(FIRST_PORT, LAST_PORT)
      try {
        this.#server.listen(this.#port, '127.0.0.1')
        await once(this.#server, 'listening')
        return
      } catch (error) {
        if (!isInUse(error)) throw error
        if (known !== 0) await pause(10) // another sheep that was started meanwhile
      }
    }
  }

  /** Breaks all connections, without executing anything more than what is on its way to be. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** The process dies: nobody listens any more. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return
    for (const request of this.#pending) this.#finish(request)
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.cutAll()
    await closed
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket)
    const framer = new Framer({
      payloadLength: (header) => ((Req.flags.get(header) & Flag.WRITE) === 0 ? 0 : Req.dataLength.get(header)),
      payloadBuffer: (_, length) => new Uint8Array(length),
      frame: (header, payload) => {
        void this.#handle(socket, toSheepRequest(header, payload))
      },
    })
    socket.setNoDelay()
    socket.on('error', () => undefined)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('data', (chunk) => {
      if (this.isStopped) return
      for (let at = 0; at < chunk.length;) {
        const into = framer.buffer()
        const part = chunk.subarray(at, at + into.length)
        into.set(part)
        framer.advance(part.length)
        at += part.length
      }
    })
  }

  async #handle(socket: Socket, request: SheepRequest): Promise<void> {
    const name = opcodeName(request.opcode)
    this.counts.set(name, this.count(name as keyof typeof Opcode) + 1)
    this.requests.push(request)
    this.#rules.arrive(request)
    const fate = this.script(request)
    if (fate.kind === 'cut' && fate.execute === 'never') this.#rules.finish(request)
    switch (fate.kind) {
      case 'answer':
        await this.#answer(socket, request, fate)
        break
      case 'refuse':
        if (fate.execute === true) await this.#execute(request)
        else this.#rules.finish(request)
        this.#send(socket, request, { result: fate.result, payload: fate.payload ?? new Uint8Array(0) })
        break
      case 'cut':
        if (fate.execute === 'first') await this.#execute(request)
        socket.destroy()
        if (fate.execute === 'later') await this.#execute(request, fate.laterMs)
        break
      case 'silent':
        if (fate.execute) await this.#execute(request)
        else this.#rules.finish(request)
        break
      case 'twice':
        await this.#answer(socket, request)
        this.#send(socket, request, { result: Result.SUCCESS, payload: new Uint8Array(0) })
        break
      case 'lie':
        this.#lie(socket, request, await this.#execute(request), fate.lie)
    }
  }

  async #answer(
    socket: Socket,
    request: SheepRequest,
    { beforeMs, afterMs }: { beforeMs?: number; afterMs?: number } = {},
  ): Promise<void> {
    const answer = await this.#execute(request, beforeMs)
    if (afterMs !== undefined) await pause(afterMs)
    this.#send(socket, request, answer)
  }

  async #execute(request: SheepRequest, laterMs?: number): Promise<Answer> {
    this.#pending.add(request)
    try {
      if (laterMs !== undefined) await pause(laterMs)
      if (!this.#pending.has(request)) return { result: Result.KILLED, payload: new Uint8Array(0) }
      this.#rules.execute(request)
      const active = [...this.#pending].filter(isGatewayRequest).length + this.#model.removing + this.backgroundActive()
      return await execute(this.#model, request, active)
    } finally {
      this.#finish(request)
    }
  }

  #finish(request: SheepRequest): void {
    if (this.#pending.delete(request)) this.#rules.finish(request)
  }

  #send(socket: Socket, request: SheepRequest, answer: Answer): void {
    if (!socket.destroyed) socket.write(Buffer.concat([this.#header(request, answer), answer.payload]))
  }

  #header(request: SheepRequest, { result, payload, fill }: Answer): Uint8Array {
    const header = new Uint8Array(SD_HEADER_SIZE)
    const view = new DataView(header.buffer)
    Rsp.opcode.set(view, request.opcode)
    Rsp.epoch.set(view, this.#model.epoch)
    Rsp.id.set(view, request.id)
    Rsp.dataLength.set(view, payload.length)
    Rsp.result.set(view, result)
    fill?.(view)
    return header
  }

  #lie(socket: Socket, request: SheepRequest, answer: Answer, lie: Lie): void {
    const header = this.#header(request, answer)
    const view = new DataView(header.buffer)
    if (lie === 'random bytes') header.forEach((_, i) => (header[i] = (i * 151 + request.id * 31) & 0xff))
    else if (lie === 'long payload') Rsp.dataLength.set(view, answer.payload.length + 1)
    else if (lie === 'short payload') Rsp.dataLength.set(view, Math.max(answer.payload.length - 1, 0))
    else if (lie === 'foreign id') Rsp.id.set(view, (request.id + 100_000) >>> 0)
    else if (lie === 'result') Rsp.result.set(view, 0x31313131)
    else if (lie === 'opcode') Rsp.opcode.set(view, request.opcode ^ 1)
    if (socket.destroyed) return
    if (lie === 'cut header') socket.end(header.subarray(0, 20))
    else socket.write(Buffer.concat([header, answer.payload]))
  }
}

function isInUse(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'
}
