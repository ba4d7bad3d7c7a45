import type { Address } from '../../src/sheep/address.ts'
import { addressText } from '../../src/sheep/address.ts'
import type { Dial, Receiver, Stream } from '../../src/sheep/world.ts'
import { Random } from '../sheep/random.ts'
import type { Agenda } from './agenda.ts'
import type { Trace } from './trace.ts'

/** The end of a connection that a server has. */
export interface Peer {
  readonly random: Random
  send(bytes: Uint8Array): void
  /** Cuts it: the client sees a reset. */
  cut(): void
}

/** Who listens somewhere. */
export interface Listener {
  readonly host: string
  /** A client has connected; what it sends comes whole, turn by turn. */
  accept(peer: Peer): { received(chunks: readonly Uint8Array[]): void; ended(): void }
}

/** How long a message is under way, ms. */
const LATENCY = { least: 0.05, spread: 0.4, rare: 0.02, rareSpread: 20 } as const

/** What was lost is sent again after this, ms. */
const RETRANSMIT_MS = 250

/** The network between hosts: delays, never the same on two connections, and cuts. Order is kept within a connection. */
export class Network {
  readonly agenda: Agenda
  readonly trace: Trace
  readonly #seed: number
  /** Connections made so far, by client. */
  readonly #dialled = new Map<string, number>()
  readonly #listeners = new Map<string, Listener>()
  readonly #links = new Set<Link>()
  /** Hosts whose packets are dropped, both ways; "a|b" for two that do not reach each other. */
  readonly #cuts = new Set<string>()

  constructor(agenda: Agenda, trace: Trace, random: Random) {
    this.agenda = agenda
    this.trace = trace
    this.#seed = random.below(2 ** 31)
  }

  listen(address: Address, listener: Listener): void {
    this.#listeners.set(addressText(address), listener)
  }

  /** Nobody listens any more; connections are cut as those of a process that ends. */
  unlisten(address: Address, listener: Listener): void {
    const key = addressText(address)
    if (this.#listeners.get(key) === listener) this.#listeners.delete(key)
    for (const link of this.#links) if (link.listener === listener) link.cutByServer()
  }

  listenerAt(address: Address): Listener | undefined {
    return this.#listeners.get(addressText(address))
  }

  /** Connections that are open, of a listener or of a client's host. */
  linksOf(host: string): Link[] {
    return [...this.#links].filter((link) => link.client === host || link.listener?.host === host)
  }

  /** Packets between the two get lost until `heal`; without the second, all packets of the first. */
  partition(a: string, b?: string): () => void {
    const key = b === undefined ? a : `${a}|${b}`
    this.#cuts.add(key)
    return () => {
      this.#cuts.delete(key)
    }
  }

  reaches(a: string, b: string): boolean {
    if (this.#cuts.size === 0) return true
    const { size } = new Set([a, b])
    if (size === 1) return true
    return ![a, b, `${a}|${b}`, `${b}|${a}`].some((cut) => this.#cuts.has(cut))
  }

  /** `process` of a client's host: several may follow one another. */
  dialFrom(client: string, process: object): Dial {
    return (address, receiver) => {
      const link = new Link(this, { client, process, address, receiver, random: this.#randomFor(client) })
      this.#links.add(link)
      return link
    }
  }

  /** A process of a client's host has ended: its connections are closed, what it has sent goes on. */
  endProcess(process: object): void {
    for (const link of this.#links) if (link.process === process) link.destroy()
  }

  /** Of each connection its own: what one client does shifts nothing for another. */
  #randomFor(client: string): Random {
    const count = (this.#dialled.get(client) ?? 0) + 1
    this.#dialled.set(client, count)
    let mixed = this.#seed ^ Math.imul(count, 0x9e3779b1)
    for (const char of client) mixed = Math.imul(mixed ^ char.charCodeAt(0), 0x01000193)
    return new Random(mixed)
  }

  /** @internal for Link */
  forget(link: Link): void {
    this.#links.delete(link)
  }
}

/** What goes in one direction of a connection: nothing overtakes, and what a cut holds up comes when it is over. */
class Lane {
  readonly #network: Network
  readonly #random: Random
  readonly #isThrough: () => boolean
  readonly #queue: { readonly at: number; readonly run: () => void }[] = []
  #lastAt = 0
  #isHeldUp = false

  constructor(network: Network, random: Random, isThrough: () => boolean) {
    this.#network = network
    this.#random = random
    this.#isThrough = isThrough
  }

  add(run: () => void): void {
    const { agenda } = this.#network
    this.#lastAt = Math.max(this.#lastAt, agenda.now + this.#latency())
    this.#queue.push({ at: this.#lastAt, run })
    agenda.after(this.#lastAt - agenda.now, () => {
      this.#deliver()
    })
  }

  #latency(): number {
    const { least, spread, rare, rareSpread } = LATENCY
    const extra = this.#random.chance(rare) ? this.#random.next() * rareSpread : 0
    return least + this.#random.next() * spread + extra
  }

  /** One thing in each turn, as a machine does. */
  #deliver(): void {
    const { agenda } = this.#network
    const [first] = this.#queue
    if (!first || first.at > agenda.now) return
    if (!this.#isThrough()) {
      this.#retryLater()
      return
    }
    this.#queue.shift()
    first.run()
    const [second] = this.#queue
    if (second && second.at <= agenda.now) {
      agenda.after(0, () => {
        this.#deliver()
      })
    }
  }

  #retryLater(): void {
    if (this.#isHeldUp) return
    this.#isHeldUp = true
    this.#network.agenda.after(RETRANSMIT_MS, () => {
      this.#isHeldUp = false
      this.#deliver()
    })
  }
}

/** What was sent in one turn, on its way. */
interface Segment {
  readonly turn: number
  readonly chunks: Uint8Array[]
}

interface LinkEnds {
  readonly client: string
  readonly process: object
  readonly address: Address
  readonly receiver: Receiver
  readonly random: Random
}

/** One connection, and its client's end. */
export class Link implements Stream {
  readonly client: string
  readonly process: object
  listener: Listener | undefined
  readonly #network: Network
  readonly #address: Address
  readonly #random: Random
  readonly #receiver: Receiver
  readonly #toServer: Lane
  readonly #toClient: Lane
  #server: ReturnType<Listener['accept']> | undefined
  #isClosed = false
  #isReset = false
  #segment: Segment | undefined

  constructor(network: Network, { client, process, address, receiver, random }: LinkEnds) {
    this.client = client
    this.process = process
    this.#network = network
    this.#address = address
    this.#receiver = receiver
    this.#random = random
    const isThrough = (): boolean => this.#isClosed || network.reaches(client, this.#serverHost)
    this.#toServer = new Lane(network, random, isThrough)
    this.#toClient = new Lane(network, random, isThrough)
    this.#toServer.add(() => {
      this.#connect()
    })
  }

  write(bytes: Uint8Array): void {
    if (this.#isClosed) return
    const { agenda } = this.#network
    if (this.#segment?.turn === agenda.turn) {
      this.#segment.chunks.push(bytes)
      return
    }
    const segment: Segment = { turn: agenda.turn, chunks: [bytes] }
    this.#segment = segment
    this.#toServer.add(() => {
      if (this.#isReset) return
      for (const chunk of segment.chunks) this.#network.trace.bytes(chunk)
      this.#server?.received(segment.chunks)
    })
  }

  destroy(): void {
    if (this.#isClosed) return
    this.#close()
    this.#toServer.add(() => {
      this.#server?.ended()
    })
  }

  reset(): void {
    this.#isReset = true
    this.destroy()
  }

  /** The process at the other end has ended, or wants no more of it. */
  cutByServer(): void {
    this.#server?.ended()
    this.#server = undefined
    this.#toClient.add(() => {
      this.#end('ECONNRESET')
    })
  }

  /** The connection breaks for both ends, at once; what is under way is lost. */
  cutBoth(): void {
    this.#isReset = true
    this.#server?.ended()
    this.#server = undefined
    this.#end('ECONNRESET')
  }

  get #serverHost(): string {
    return this.listener?.host ?? this.#network.listenerAt(this.#address)?.host ?? ''
  }

  #connect(): void {
    if (this.#isClosed) return
    const listener = this.#network.listenerAt(this.#address)
    if (!listener) {
      this.#toClient.add(() => {
        this.#end('ECONNREFUSED')
      })
      return
    }
    this.listener = listener
    this.#server = listener.accept({
      random: this.#random,
      send: (bytes) => {
        this.#send(bytes)
      },
      cut: () => {
        this.cutByServer()
      },
    })
    this.#toClient.add(() => {
      if (!this.#isClosed) this.#receiver.connected()
    })
  }

  #send(bytes: Uint8Array): void {
    this.#toClient.add(() => {
      if (this.#isClosed) return
      this.#network.trace.bytes(bytes)
      for (let at = 0, isWanted = true; at < bytes.length && isWanted;) {
        const into = this.#receiver.buffer()
        const part = bytes.subarray(at, at + into.length)
        into.set(part)
        at += part.length
        isWanted = this.#receiver.received(part.length)
      }
    })
  }

  #end(code: string): void {
    if (this.#isClosed) return
    this.#close()
    this.#receiver.ended(Object.assign(new Error(`simulated ${code}`), { code }))
  }

  #close(): void {
    this.#isClosed = true
    this.#network.forget(this)
  }
}
