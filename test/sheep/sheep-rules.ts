import { viewOf } from '../../src/wire/field.ts'
import { VDI_STATE_SIZE } from '../../src/wire/info-ops.ts'
import { indexEntryOffset, INODE_HEADER_SIZE } from '../../src/wire/inode.ts'
import { MAX_NODE_LIST_SIZE } from '../../src/wire/node-record.ts'
import { kindOf, oidText, vidOf, type ObjectId } from '../../src/wire/object-id.ts'
import { FIRST_INTERNAL_OPCODE, Flag, Opcode, ReqObj } from '../../src/wire/sd-proto.ts'
import { VDI_BITMAP_SIZE } from '../../src/wire/vdi-ops.ts'
import { isIndexUpdate } from './model-cluster.ts'
import { opcodeName, type SheepRequest } from './sheep-request.ts'

const CARRIES_PAYLOAD = new Set<number>([
  Opcode.CREATE_AND_WRITE_OBJ,
  Opcode.WRITE_OBJ,
  Opcode.NEW_VDI,
  Opcode.LOCK_VDI,
  Opcode.GET_VDI_INFO,
  Opcode.DEL_VDI,
])

/** Answer sizes that must be asked for in full; a shorter buffer crashes a sheep (docs/sheepdog-protocol.md#1.9). */
const WANTED = new Map<number, (length: number) => boolean>([
  [Opcode.GET_NODE_LIST, (length) => length === MAX_NODE_LIST_SIZE],
  [Opcode.CLUSTER_INFO, (length) => length === 48 + MAX_NODE_LIST_SIZE],
  [Opcode.STAT, (length) => length === 15 * 8],
  [Opcode.STAT_RECOVERY, (length) => length === 24],
  [Opcode.STAT_CLUSTER, (length) => length >= 48],
  [Opcode.READ_VDIS, (length) => length === VDI_BITMAP_SIZE],
  [Opcode.READ_DEL_VDIS, (length) => length === VDI_BITMAP_SIZE],
  [Opcode.GET_VDI_COPIES, (length) => length >= VDI_STATE_SIZE],
])

const NEVER_SENT = new Set<number>([Opcode.REMOVE_OBJ, 0xc8, 0xc1, 0x84, 0x85, 0x9a, 0xa3, 0xa4, 0xa5, 0xa6])

/** What of a cluster's state the rules look at. */
interface KnownState {
  has(oid: ObjectId): boolean
  /** A removal of the object is under way. */
  isRemoving(oid: ObjectId): boolean
  /** Entry `index` of the array of `vid`. */
  entry(vid: number, index: number): number
}

/**
 * The rules of docs/sheepdog-protocol.md#0 that can be checked from the other end of the wire, over all gateways of one
 * cluster. What breaks one is noted in `violations`; tests expect that to be empty.
 */
export class SheepRules {
  readonly #model: KnownState
  readonly #creating = new Set<string>()
  readonly #publishing = new Map<string, number>()
  /** Publishes of entries that were unchanged when they arrived. */
  readonly #unchanged = new WeakMap<SheepRequest, number[]>()
  readonly violations: string[] = []

  constructor(model: KnownState) {
    this.#model = model
  }

  /** A request has arrived. */
  arrive(request: SheepRequest): void {
    this.#checkFraming(request)
    if (request.opcode === Opcode.CREATE_AND_WRITE_OBJ) this.#beginCreate(request)
    if (!isPublish(request)) return
    this.#beginPublish(request)
    if (this.#model.has(request.oid)) this.#unchanged.set(request, this.#unchangedEntries(request))
  }

  /** It is about to be executed. */
  execute(request: SheepRequest): void {
    if (isPublish(request) && this.#model.has(request.oid)) this.#checkChanges(request)
    if (request.opcode === Opcode.CREATE_AND_WRITE_OBJ && this.#model.isRemoving(request.oid)) {
      this.#violate(request, 'rule 8: created while its removal was under way')
    }
  }

  /** It has been executed, or never will be. */
  finish(request: SheepRequest): void {
    if (request.opcode === Opcode.CREATE_AND_WRITE_OBJ) this.#creating.delete(oidText(request.oid))
    if (!isPublish(request)) return
    for (const key of publishKeys(request)) this.#publishing.delete(key)
  }

  #checkFraming(request: SheepRequest): void {
    const { opcode, flags, dataLength } = request
    const isWrite = (flags & Flag.WRITE) !== 0
    if (NEVER_SENT.has(opcode)) this.#violate(request, 'rule 11: never to be sent')
    if (isWrite !== CARRIES_PAYLOAD.has(opcode)) this.#violate(request, 'rule 2: flag WRITE')
    if (WANTED.get(opcode)?.(dataLength) === false) this.#violate(request, `rule 10: asked for ${dataLength} bytes`)
    if (opcode < FIRST_INTERNAL_OPCODE && opcode <= Opcode.DISCARD_OBJ && ReqObj.copies.get(request.header) !== 0) {
      this.#violate(request, 'copies other than 0')
    }
  }

  #beginCreate(request: SheepRequest): void {
    const key = oidText(request.oid)
    if (this.#creating.has(key)) this.#violate(request, 'rule 4: two creates of one object in flight')
    this.#creating.add(key)
  }

  #beginPublish(request: SheepRequest): void {
    for (const key of publishKeys(request)) {
      if (this.#publishing.has(key)) this.#violate(request, 'rule 6: two updates of one index entry in flight')
      this.#publishing.set(key, request.id)
    }
  }

  /** Between arrival and execution, somebody's snapshot may put back an entry that a recovery had undone. */
  #checkChanges(request: SheepRequest): void {
    const now = this.#unchangedEntries(request)
    if (this.#unchanged.get(request)?.some((index) => now.includes(index))) {
      this.#violate(request, 'rule 5: an unchanged index entry is written')
    }
    const isHeaderTouched =
      request.offset < INODE_HEADER_SIZE && request.offset + request.payload.length > INODE_HEADER_SIZE
    if (isHeaderTouched) this.#violate(request, 'a write spans header and index')
  }

  #unchangedEntries({ oid, offset, payload }: SheepRequest): number[] {
    const first = firstEntry(offset)
    const entries = Array.from({ length: payload.length / 4 }, (_, i) => first + i)
    return entries.filter(
      (index) => this.#model.entry(vidOf(oid), index) === viewOf(payload).getUint32(4 * (index - first), true),
    )
  }

  #violate(request: SheepRequest, what: string): void {
    this.violations.push(`${opcodeName(request.opcode)} ${oidText(request.oid)} at ${request.offset}: ${what}`)
  }
}

/** An update of a VDI's array index. */
export function isPublish({ opcode, oid, offset, payload }: SheepRequest): boolean {
  return opcode === Opcode.WRITE_OBJ && kindOf(oid) === 'inode' && isIndexUpdate(offset, payload.length)
}

function firstEntry(offset: number): number {
  return (offset - indexEntryOffset(0)) / 4
}

function publishKeys({ oid, offset, payload }: SheepRequest): string[] {
  const first = firstEntry(offset)
  return Array.from({ length: payload.length / 4 }, (_, i) => `${vidOf(oid)}:${first + i}`)
}
