import { fstatSync, readSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { OpenHandle } from '../../fuse/kernel/open-files.ts'
import type { FromWorker, MountState, MovedTimes } from '../worker-protocol.ts'

/*
 * What a worker tells its supervisor of a mount stands in a file too, before anybody can see it: for a successor of both, when
 * they die together. The file is in memory, and written in place:
 *
 *   0, STATE_ROOM      the state, twice, the later of them valid: a header line of length, checksum and a count that
 *                      rises, then JSON
 *   2 * STATE_ROOM     open files: JSON in slots of HANDLE_SIZE, zeros in those that are free
 */

const VERSION = 1
const STATE_ROOM = 2 ** 23
const HEADER_SIZE = 64
const HANDLE_SIZE = 256
const HANDLES_AT = 2 * STATE_ROOM
/** More than a mount has open; who serves it could give the file any length. */
export const MOST_HANDLES = 100_000
/** Bytes of the file, at most, and some that nobody needs. */
export const RECORD_ROOM = HANDLES_AT + 2 * MOST_HANDLES * HANDLE_SIZE

/** What a record says, unchecked: whoever served the mount could write it. */
export interface Recorded {
  readonly version: unknown
  readonly generation: unknown
  readonly state: unknown
  readonly handles: readonly unknown[]
}

/** What a worker starts from. */
interface Beginning {
  readonly generation: number
  readonly state: MountState
  readonly handles: readonly OpenHandle[]
}

/** The record of a mount, for who writes it: one process at a time. */
export class MountRecord {
  readonly #fd: number
  /** Slots of open files, by fh. */
  readonly #slots = new Map<number, number>()
  #freeSlots: number[] = []
  #slotCount = 0
  #generation = 0
  #state: MountState | undefined
  #count: number

  /** Of a file that is open for reading and writing. */
  constructor(fd: number) {
    this.#fd = fd
    this.#count = Math.max(0, ...[0, 1].map((side) => readState(fd, side)?.count ?? 0))
  }

  /** In place of all that was in it; what stays open keeps its slot, so that it is in the record at every moment. */
  begin({ generation, state, handles }: Beginning): void {
    this.#generation = generation
    this.#slots.clear()
    const open = new Set(handles.map(({ fh }) => fh))
    const before = readSlots(this.#fd)
    this.#slotCount = before.length
    this.#freeSlots = []
    for (const [slot, recorded] of before.entries()) {
      const fh = (recorded as Partial<OpenHandle> | undefined)?.fh
      if (fh !== undefined && open.has(fh) && !this.#slots.has(fh)) this.#slots.set(fh, slot)
      else this.#freeSlots.push(slot)
    }
    for (const handle of handles) this.#open(handle)
    for (const slot of this.#freeSlots) if (before[slot] !== undefined) this.#writeSlot(slot, '')
    this.#writeState(state)
  }

  /** Takes what the supervisor is told. */
  note(message: FromWorker): void {
    if (message.kind === 'state') this.#writeState(message.state)
    else if (message.kind === 'times' && this.#state) this.#writeState(withTimes(this.#state, message.volumes))
    else if (message.kind === 'opened') this.#open(message.handle)
    else if (message.kind === 'closed') this.#close(message.fh)
  }

  #open(handle: OpenHandle): void {
    const slot = this.#slots.get(handle.fh) ?? this.#freeSlots.pop() ?? this.#slotCount++
    this.#slots.set(handle.fh, slot)
    this.#writeSlot(slot, JSON.stringify(handle))
  }

  #close(fh: number): void {
    const slot = this.#slots.get(fh)
    if (slot === undefined) return
    this.#slots.delete(fh)
    this.#freeSlots.push(slot)
    this.#writeSlot(slot, '')
  }

  #writeSlot(slot: number, text: string): void {
    const bytes = Buffer.alloc(HANDLE_SIZE)
    bytes.write(text)
    writeSync(this.#fd, bytes, 0, bytes.length, HANDLES_AT + slot * HANDLE_SIZE)
  }

  #writeState(state: MountState): void {
    this.#state = state
    // JSON has no Infinity
    const ioTimeoutMs = state.ioTimeoutMs === Infinity ? null : state.ioTimeoutMs
    const recorded = { version: VERSION, generation: this.#generation, state: { ...state, ioTimeoutMs } }
    const body = Buffer.from(JSON.stringify(recorded))
    if (HEADER_SIZE + body.length > STATE_ROOM)
      throw new RangeError('what a mount has come to is too long to be recorded')
    const header = Buffer.alloc(HEADER_SIZE)
    header.write(`${body.length} ${crc32(body)} ${++this.#count}\n`)
    const bytes = Buffer.concat([header, body])
    writeSync(this.#fd, bytes, 0, bytes.length, (this.#count % 2) * STATE_ROOM)
  }
}

/** What stands in a record; undefined when that is not whole. */
export function readRecord(fd: number): Recorded | undefined {
  const [latest] = [0, 1].flatMap((side) => readState(fd, side) ?? []).sort((a, b) => b.count - a.count)
  if (!latest) return undefined
  const { version, generation, state } = latest.recorded
  return { version, generation, state, handles: readSlots(fd).filter((handle) => handle !== undefined) }
}

/** The state with the times of volumes that have moved. */
export function withTimes(state: MountState, moved: readonly MovedTimes[]): MountState {
  const times = new Map(moved.map((volume) => [volume.nodeId, volume.times]))
  return {
    ...state,
    volumes: state.volumes.map((volume) => ({ ...volume, times: times.get(volume.nodeId) ?? volume.times })),
  }
}

function readState(fd: number, side: number): { recorded: Omit<Recorded, 'handles'>; count: number } | undefined {
  const header = read(fd, side * STATE_ROOM, HEADER_SIZE).toString('latin1')
  const [, length, checksum, count] = /^(\d+) (\d+) (\d+)\n/.exec(header) ?? []
  if (length === undefined || Number(length) > STATE_ROOM - HEADER_SIZE) return undefined
  const body = read(fd, side * STATE_ROOM + HEADER_SIZE, Number(length))
  if (crc32(body) !== Number(checksum)) return undefined
  try {
    const recorded: unknown = JSON.parse(body.toString())
    if (typeof recorded !== 'object' || recorded === null) return undefined
    return { recorded: recorded as Omit<Recorded, 'handles'>, count: Number(count) }
  } catch {
    return undefined // written by somebody else
  }
}

/** Each slot, with what is open; undefined where nothing is, or nothing that can be read. */
function readSlots(fd: number): unknown[] {
  const bytes = read(fd, HANDLES_AT, Math.min(fstatSync(fd).size - HANDLES_AT, MOST_HANDLES * HANDLE_SIZE))
  return Array.from({ length: Math.floor(bytes.length / HANDLE_SIZE) }, (_, slot) => {
    const text = bytes.toString('utf8', slot * HANDLE_SIZE, (slot + 1) * HANDLE_SIZE).replace(/\0+$/, '')
    try {
      return text === '' ? undefined : (JSON.parse(text) as unknown)
    } catch {
      return undefined
    }
  })
}

/** As much as there is. */
function read(fd: number, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, length))
  const size = bytes.length === 0 ? 0 : readSync(fd, bytes, 0, bytes.length, at)
  return bytes.subarray(0, size)
}
