import { dispatch } from '../../src/lamb/dispatch.ts'
import type { Reply, Request } from '../../src/lamb/request.ts'
import { bytesOf } from '../../src/lamb/slabs.ts'
import { fieldText, inodesOf } from '../../src/lamb/vdi-lookup.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Flag, Opcode, Req, ReqObj, ReqVdi, Result, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import { readOid } from '../../src/wire/object-id.ts'
import { Random } from '../sheep/random.ts'
import { opcodeName, type SheepRequest } from '../sheep/sheep-request.ts'
import { Disk } from './disk.ts'
import { keyOf } from './object-key.ts'
import type { Listener, Peer } from './network.ts'
import { ownAnswer } from './own-answers.ts'
import { Recovery } from './recovery.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'

const SERVICE_MS = { least: 0.05, spread: 0.6, rare: 0.03, rareSpread: 60 } as const
const START_MS = { least: 30, spread: 500 } as const

const GATEWAY_OPS = new Set<number>([
  Opcode.CREATE_AND_WRITE_OBJ,
  Opcode.READ_OBJ,
  Opcode.WRITE_OBJ,
  Opcode.REMOVE_OBJ,
  Opcode.DISCARD_OBJ,
])

/** Done by all members, with inodes that any of them may hold. */
const CLUSTER_OPS = new Set<number>([
  Opcode.NEW_VDI,
  Opcode.DEL_VDI,
  Opcode.LOCK_VDI,
  Opcode.RELEASE_VDI,
  Opcode.GET_VDI_INFO,
])

/** What befalls a request beside being served. */
export type Mishap =
  | { readonly kind: 'refused'; readonly result: number; readonly isExecuted: boolean }
  | { readonly kind: 'cut'; readonly isExecuted: boolean }
  | { readonly kind: 'unanswered'; readonly isExecuted: boolean }

/** A request under way, and the connection it came on. */
interface Served {
  readonly request: Request
  /** The same as the rules see it. */
  readonly seen: SheepRequest
  readonly id: number
  readonly peer: Peer
  isConnected: boolean
}

/**
 * One sheep: a process on a host, with disks that outlive it. Requests take their time and end in any order; what it was
 * sent is executed also when the connection is gone, unless the process ends before.
 */
export class SimulatedSheep implements Listener {
  readonly cluster: SimulatedCluster
  readonly index: number
  readonly host: string
  readonly address: Address
  readonly zone: number
  readonly disk = new Disk()
  readonly recovery: Recovery
  readonly random: Random
  /** Decides about each request that arrives; undefined: it is served. */
  mishap: ((request: Request) => Mishap | undefined) | undefined
  /** Gateway requests of others, for STAT. */
  othersActive: () => number = () => 0
  #state: 'down' | 'starting' | 'serving' = 'down'
  #isFrozen = false
  #epoch = 0
  readonly #served = new Set<Served>()
  #held: Served[] = []

  constructor(
    cluster: SimulatedCluster,
    place: { readonly index: number; readonly port: number; readonly host: string; readonly zone: number },
  ) {
    this.cluster = cluster
    this.index = place.index
    this.host = place.host
    this.zone = place.zone
    this.address = { host: '10.0.0.1', port: place.port }
    this.random = new Random(cluster.random.below(2 ** 31))
    this.recovery = new Recovery(cluster, this)
  }

  /** The process runs and takes part, or waits for others to. */
  get isRunning(): boolean {
    return this.#state === 'serving'
  }

  get isServing(): boolean {
    return this.isRunning && !this.#isFrozen
  }

  /** It has started and has not joined. */
  get isStarting(): boolean {
    return this.#state === 'starting'
  }

  get epoch(): number {
    return this.#epoch
  }

  /** Requests that it executes as a gateway, and the removals that follow from them. */
  get active(): number {
    const own = [...this.#served].filter(({ request }) => GATEWAY_OPS.has(request.opcode)).length
    return own + this.othersActive() + Number(!this.cluster.core.references.isIdle)
  }

  /** Runs from the beginning, as a member. */
  begin(): void {
    this.#state = 'serving'
    this.#epoch = 1
    this.cluster.network.listen(this.address, this)
  }

  /** SIGKILL. What is under way may have been done in part. */
  kill(): void {
    if (this.#state === 'down') return
    const wasServing = this.#state === 'serving'
    this.#state = 'down'
    this.#isFrozen = false
    this.cluster.network.unlisten(this.address, this)
    this.#say(() => 'killed')
    for (const served of this.#served) {
      this.#executeInPart(served)
      this.cluster.rules.finish(served.seen)
    }
    this.#served.clear()
    this.#held = []
    this.recovery.stop()
    if (wasServing) this.cluster.noticeLoss(this)
  }

  start(): void {
    if (this.#state !== 'down') return
    this.#state = 'starting'
    this.#epoch = 0
    this.cluster.network.listen(this.address, this)
    this.#say(() => 'started')
    this.cluster.agenda.after(START_MS.least + this.random.next() * START_MS.spread, () => {
      if (this.#state !== 'starting') return
      this.#state = 'serving'
      this.#epoch = this.cluster.epoch
      this.cluster.join(this)
    })
  }

  /** SIGSTOP: takes connections and answers nothing, until it is thawed. */
  freeze(): void {
    this.#isFrozen = true
  }

  thaw(): void {
    this.#isFrozen = false
    for (const served of this.#held.splice(0)) this.#serve(served)
  }

  adoptEpoch(epoch: number): void {
    if (this.isRunning) this.#epoch = epoch
  }

  accept(peer: Peer): { received(chunks: readonly Uint8Array[]): void; ended(): void } {
    const mine = new Set<Served>()
    return {
      received: (chunks) => {
        for (const served of parse(chunks, peer, this.index)) {
          mine.add(served)
          this.#take(served)
        }
      },
      ended: () => {
        for (const served of mine) served.isConnected = false
      },
    }
  }

  #take(served: Served): void {
    this.#served.add(served)
    this.cluster.checkRules((rules) => {
      rules.arrive(served.seen)
    })
    this.#say(() => `< ${describe(served)}`)
    const mishap = this.mishap?.(served.request)
    if (this.#isFrozen) this.#held.push(served)
    else if (mishap) this.#befall(served, mishap)
    else this.#serve(served)
  }

  #befall(served: Served, mishap: Mishap): void {
    const reply: Reply = { result: mishap.kind === 'refused' ? mishap.result : Result.SUCCESS }
    this.#say(() => `  ${mishap.kind} ${mishap.isExecuted ? 'after' : 'before'} ${describe(served)}`)
    if (mishap.kind === 'cut') served.peer.cut()
    if (mishap.kind !== 'refused') served.isConnected = false
    if (mishap.isExecuted) this.#serve(served, mishap.kind === 'refused' ? reply : undefined)
    else this.#answer(served, reply)
  }

  /** With `instead`, that is answered in place of what executing gives. */
  #serve(served: Served, instead?: Reply): void {
    const { least, spread, rare, rareSpread } = SERVICE_MS
    const { random } = served.peer
    const extra = random.chance(rare) ? random.next() * rareSpread : 0
    this.cluster.agenda.after(least + random.next() * spread + extra, () => {
      this.#execute(served, instead)
    })
  }

  #execute(served: Served, instead?: Reply): void {
    if (!this.#served.has(served)) return
    if (this.#isFrozen) {
      this.#held.push(served)
      return
    }
    const { request } = served
    if (this.isRunning && !this.cluster.isWaiting && this.#mustWait(request)) {
      this.#park(served, instead)
      return
    }
    // what it asks of others is only taken when it knows as much as they
    if (GATEWAY_OPS.has(request.opcode)) this.adoptEpoch(this.cluster.epoch)
    const { store, core } = this.cluster
    const ownReply = ownAnswer(this, request)
    if (request.opcode === Opcode.NEW_VDI) this.#noticeRebase(request)
    if (request.opcode === Opcode.DEL_VDI && ReqVdi.snapId.get(request.header) !== 0) {
      this.cluster.scar('deletion of a snapshot')
    }
    if (!ownReply) {
      this.cluster.checkRules((rules) => {
        rules.execute(served.seen)
      })
    }
    store.gateway = this
    const reply = ownReply ?? dispatch(core, request)
    store.gateway = undefined
    if (reply instanceof Promise) {
      reply.then(
        (done) => {
          this.#answerLater(served, instead ?? done)
        },
        (error: unknown) => {
          if (this.#served.has(served)) throw error
        },
      )
    } else this.#answerLater(served, instead ?? reply)
  }

  /** A snapshot of a VDI that is one already: what was written since the first is lost from the working VDI. */
  #noticeRebase({ header, payload }: Request): void {
    if (ReqVdi.snapId.get(header) === 0) return
    const { table, store } = this.cluster.core
    const current = inodesOf(table, store, fieldText(payload))[0]
    if (current && current.vdiId !== ReqVdi.baseVdiId.get(header)) this.cluster.scar('snapshot of a snapshot')
  }

  #answerLater(served: Served, reply: Reply): void {
    this.cluster.agenda.after(served.peer.random.next() * SERVICE_MS.spread, () => {
      this.#answer(served, reply)
    })
  }

  #answer(served: Served, reply: Reply): void {
    this.cluster.rules.finish(served.seen)
    if (this.#served.delete(served) && served.isConnected) {
      this.#say(() => `> ${describe(served)} = 0x${reply.result.toString(16)}`)
      served.peer.send(this.#encode(served, reply))
    }
    if (reply.block) this.cluster.core.slabs.release(reply.block)
  }

  #encode({ request, id }: Served, reply: Reply): Uint8Array {
    const payload = reply.block ? bytesOf(reply.block).subarray(SD_HEADER_SIZE) : reply.payload
    const length = payload?.length ?? 0
    const bytes = new Uint8Array(SD_HEADER_SIZE + length)
    const view = new DataView(bytes.buffer)
    Rsp.opcode.set(view, request.opcode)
    Rsp.epoch.set(view, this.#epoch)
    Rsp.id.set(view, id)
    Rsp.dataLength.set(view, length)
    Rsp.result.set(view, reply.result)
    reply.fill?.(view, 0)
    // what an erasure-coded object's failed read carries is whatever was there (docs/sheepdog-protocol.md#1.4)
    if (payload && reply.result === Result.SUCCESS) bytes.set(payload, SD_HEADER_SIZE)
    return bytes
  }

  /** A gateway waits for nodes that are members and do not answer, until they do or are none any more. */
  #mustWait({ opcode, header }: Request): boolean {
    if (CLUSTER_OPS.has(opcode)) return this.cluster.members.some(({ isServing }) => !isServing)
    if (!GATEWAY_OPS.has(opcode)) return false
    const holders = this.cluster.holders(readOid(header, ReqObj.oid.offset))
    return opcode === Opcode.READ_OBJ
      ? holders.length > 0 && !holders.some(({ isServing }) => isServing)
      : holders.some(({ isServing }) => !isServing)
  }

  #park(served: Served, instead?: Reply): void {
    this.cluster.whenChanged(() => {
      this.#execute(served, instead)
    })
  }

  #executeInPart({ request }: Served): void {
    if (!GATEWAY_OPS.has(request.opcode) || this.random.chance(0.5) || this.cluster.isWaiting) return
    const { store, core } = this.cluster
    const some = new Set(this.cluster.sheep.filter(() => this.random.chance(0.5)))
    store.reached = (sheep) => some.has(sheep)
    const reply = dispatch(core, request)
    store.reached = undefined
    if (!(reply instanceof Promise) && reply.block) core.slabs.release(reply.block)
  }

  #say(text: () => string): void {
    this.cluster.network.trace.say(this.cluster.agenda.now, () => `${this.host} ${text()}`)
  }
}

function parse(chunks: readonly Uint8Array[], peer: Peer, gateway: number): Served[] {
  const requests: Served[] = []
  for (let at = 0; at < chunks.length; at++) {
    const bytes = chunks[at] ?? new Uint8Array(0)
    if (bytes.length !== SD_HEADER_SIZE) throw new RangeError(`a header of ${bytes.length} bytes`)
    const header = new DataView(bytes.buffer, bytes.byteOffset, SD_HEADER_SIZE)
    const flags = Req.flags.get(header)
    const dataLength = Req.dataLength.get(header)
    const hasPayload = (flags & Flag.WRITE) !== 0 && dataLength > 0
    const payload = hasPayload ? (chunks[++at] ?? new Uint8Array(0)) : new Uint8Array(0)
    if (hasPayload && payload.length !== dataLength) throw new RangeError(`${payload.length} of ${dataLength} bytes`)
    const opcode = Req.opcode.get(header)
    const id = Req.id.get(header)
    const oid = readOid(header, ReqObj.oid.offset)
    const offset = ReqObj.offset.get(header)
    requests.push({
      request: { header, opcode, flags, dataLength, payload, gateway },
      seen: { header, opcode, flags, id, dataLength, oid, base: undefined, offset, payload },
      id,
      peer,
      isConnected: true,
    })
  }
  return requests
}

function describe({ request, id }: Served): string {
  const { opcode, header, dataLength } = request
  const object = GATEWAY_OPS.has(opcode)
    ? ` ${keyOf(readOid(header, ReqObj.oid.offset)).toString(16)}+${ReqObj.offset.get(header)}`
    : ''
  return `#${id} ${opcodeName(opcode)}${object} ${dataLength}`
}
