import { realWorld } from '../../../src/daemon/real-world.ts'
import { viewOf } from '../../../src/wire/field.ts'
import type { Message, Response } from '../../../src/wire/message.ts'
import { inodeOid, oidText, readOid, type ObjectId } from '../../../src/wire/object-id.ts'
import { Opcode, Req, ReqObj, Result, SD_HEADER_SIZE } from '../../../src/wire/sd-proto.ts'
import { SheepfsError } from '../../../src/errors.ts'
import { DEFAULT_TIMING } from '../../../src/sheep/timing.ts'
import type { ObjectCalls } from '../../../src/volume/index/tree-store.ts'
import type { Patience } from '../../../src/sheep/outage.ts'
import { quietOutage } from '../../sheep/quiet-outage.ts'

/** Objects grow as they are written; past their end they read as zeros. */
const FIRST_SIZE = 8192
const OUTAGE = quietOutage(DEFAULT_TIMING)

/** The objects of a cluster: what stays when a client or a connection dies. */
export class MemoryObjects {
  readonly objects = new Map<string, Uint8Array>()

  constructor(vid: number) {
    this.objects.set(oidText(inodeOid(vid)), new Uint8Array(FIRST_SIZE))
  }

  bytes(oid: ObjectId, offset: number, length: number): Uint8Array {
    const object = this.objects.get(oidText(oid))
    if (!object) throw new Error(`no object ${oidText(oid)}`)
    const into = new Uint8Array(length)
    into.set(object.subarray(offset, offset + length))
    return into
  }

  /** As a sheep does it. */
  execute(message: Message, into?: Uint8Array): number {
    const id = oidText(readOid(message.header, ReqObj.oid.offset))
    const offset = ReqObj.offset.get(message.header)
    const object = this.objects.get(id)
    const payload = message.payload ?? new Uint8Array(0)
    switch (Req.opcode.get(message.header)) {
      case Opcode.CREATE_AND_WRITE_OBJ:
        this.objects.set(id, payload.slice())
        return Result.SUCCESS
      case Opcode.REMOVE_OBJ:
        return this.objects.delete(id) ? Result.SUCCESS : Result.NO_OBJ
      case Opcode.READ_OBJ:
        if (!object) return Result.NO_OBJ
        into?.fill(0).set(object.subarray(offset, offset + into.length))
        return Result.SUCCESS
      case Opcode.WRITE_OBJ:
        if (!object) return Result.NO_OBJ
        this.objects.set(id, written(object, offset, payload))
        return Result.SUCCESS
      default:
        throw new Error(`opcode ${Req.opcode.get(message.header)}`)
    }
  }
}

function written(object: Uint8Array, offset: number, payload: Uint8Array): Uint8Array {
  const end = offset + payload.length
  const grown = end <= object.length ? object : new Uint8Array(2 * end)
  if (grown !== object) grown.set(object)
  grown.set(payload, offset)
  return grown
}

/** A client of `MemoryObjects`, which notes its changes and can die. */
export class MemoryCluster implements ObjectCalls {
  readonly #store: MemoryObjects
  /** Changes sent: operation, object, offset and length. */
  readonly sent: string[] = []
  ioTimeoutMs = 0
  readonly clock = realWorld.clock
  readonly timing = DEFAULT_TIMING
  readonly absentMembers = allPresent
  readonly look = (): Promise<void> => Promise.resolve()
  readonly failure = undefined
  withPatience = withNoOutage
  /** Waits before each change. */
  beforeChange: (patience?: Patience) => Promise<void> = () => Promise.resolve()
  /** The client dies when it has had so many changes executed. */
  dieAfter = Infinity
  /** Whether the next change in line is executed too, its answer lost. */
  isLastExecuted = false
  /** Requests take up to so many turns of the event loop, so that those sent together end in another order. */
  turns = 0
  /** Most changes of one object that were under way at the same time. */
  mostAtOnce = 0
  readonly #underWay = new Map<string, number>()
  #changes = 0

  constructor(store: MemoryObjects) {
    this.#store = store
  }

  async read(message: Message, { into }: { into?: Uint8Array } = {}): Promise<Response> {
    await this.#delay()
    const answer = response(this.#store.execute(message, into))
    await this.#delay()
    return answer
  }

  async change(message: Message, { patience }: { patience?: Patience } = {}): Promise<Response> {
    await this.beforeChange(patience)
    const oid = oidText(readOid(message.header, ReqObj.oid.offset))
    const atOnce = (this.#underWay.get(oid) ?? 0) + 1
    this.#underWay.set(oid, atOnce)
    this.mostAtOnce = Math.max(this.mostAtOnce, atOnce)
    try {
      await this.#delay()
      return this.#execute(message)
    } finally {
      await this.#delay()
      this.#underWay.set(oid, (this.#underWay.get(oid) ?? 1) - 1)
    }
  }

  #execute(message: Message): Response {
    if (this.#changes >= this.dieAfter) {
      if (this.isLastExecuted && this.#changes++ === this.dieAfter) this.#store.execute(message)
      throw new SheepfsError('closed', 'the client died')
    }
    this.#changes++
    this.sent.push(textOf(message))
    return response(this.#store.execute(message))
  }

  async #delay(): Promise<void> {
    await Promise.resolve()
    const turns = Math.floor(Math.random() * (this.turns + 1))
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** A client of two replicas of everything, that reads from the second. */
export class ReplicatedCluster implements ObjectCalls {
  readonly #replicas: readonly [MemoryObjects, MemoryObjects]
  ioTimeoutMs = 0
  readonly clock = realWorld.clock
  readonly timing = DEFAULT_TIMING
  readonly absentMembers = allPresent
  readonly look = (): Promise<void> => Promise.resolve()
  readonly failure = undefined
  readonly withPatience = withNoOutage
  /** Changes are executed by the first replica, and the second has no room for them. */
  isSecondFull = false

  constructor(replicas: readonly [MemoryObjects, MemoryObjects]) {
    this.#replicas = replicas
  }

  read(message: Message, { into }: { into?: Uint8Array } = {}): Promise<Response> {
    return Promise.resolve(response(this.#replicas[1].execute(message, into)))
  }

  change(message: Message): Promise<Response> {
    const result = this.#replicas[0].execute(message)
    return Promise.resolve(response(this.isSecondFull ? Result.NO_SPACE : this.#replicas[1].execute(message) && result))
  }
}

function textOf(message: Message): string {
  const names: Record<number, string> = {
    [Opcode.CREATE_AND_WRITE_OBJ]: 'CREATE',
    [Opcode.WRITE_OBJ]: 'WRITE',
    [Opcode.REMOVE_OBJ]: 'REMOVE',
  }
  const name = names[Req.opcode.get(message.header)] ?? 'OTHER'
  const oid = oidText(readOid(message.header, ReqObj.oid.offset))
  return `${name} ${oid} ${ReqObj.offset.get(message.header)}+${Req.dataLength.get(message.header)}`
}

function response(result: number): Response {
  return { result, epoch: 1, header: viewOf(new Uint8Array(SD_HEADER_SIZE)), payload: new Uint8Array(0) }
}

function allPresent(): Promise<string[]> {
  return Promise.resolve([])
}

const withNoOutage: ObjectCalls['withPatience'] = (patience, work) => OUTAGE.withPatience({ patience }, work)
