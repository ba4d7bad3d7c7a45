import assert from 'node:assert/strict'
import type { Clock } from '../../src/clock.ts'
import { SheepfsError } from '../../src/errors.ts'
import { Connection } from '../../src/sheep/connection.ts'
import type { Receiver } from '../../src/sheep/world.ts'
import { encodeNode, parseNode, parseNodeHead } from '../../src/wire/btree.ts'
import { getNodeList, getVdiCopies, parseClusterStatus, parseNodeList, statCluster } from '../../src/wire/info-ops.ts'
import { parseInodeHeader } from '../../src/wire/inode.ts'
import type { Message, Response } from '../../src/wire/message.ts'
import { encodeNodeRecord, SD_MAX_NODES } from '../../src/wire/node-record.ts'
import { btreeOid, dataOid } from '../../src/wire/object-id.ts'
import { readObject } from '../../src/wire/object-ops.ts'
import { Ring } from '../../src/wire/ring.ts'
import { Req, Rsp, RspNode, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import { parseVdiAnswer, readVdis, vidsOf } from '../../src/wire/vdi-ops.ts'
import type { Random } from '../sheep/random.ts'
import { EDGES, spoil, type Fuzzer } from './fuzzer.ts'

const FEW_NODES = 4
/** Of a framer. */
const LARGEST_SCRATCH = 65_536
/** Larger rings are made in the tests of the ring. */
const MOST_VNODES = 10_000

/** What is asked, and the bytes that answer it. */
interface Exchange {
  readonly message: Message
  readonly payload: Uint8Array
  /** What of the header the answer sets besides. */
  readonly count?: number
}

function exchangeOf(random: Random): Exchange {
  const some = 1 + random.below(3000)
  const nodes = 1 + random.below(FEW_NODES)
  const kinds: readonly (() => Exchange)[] = [
    () => ({ message: readObject(dataOid(7, 0), 0, some), payload: random.bytes(some) }),
    () => ({ message: readObject(btreeOid(7, 1), 0, some), payload: spoil(treeNode(random), random).slice(0, some) }),
    () => ({ message: getNodeList(10), payload: nodeList(random, nodes), count: nodes }),
    () => ({ message: statCluster(10, 2, nodes), payload: spoil(random.bytes(2 * (48 + 80 * nodes)), random) }),
    () => ({ message: getVdiCopies(10, 2), payload: random.bytes(2 * 1428) }),
    () => ({ message: readVdis(), payload: random.bytes(random.below(64)) }),
  ]
  return random.pick(kinds)()
}

function nodeList(random: Random, count: number): Uint8Array {
  const node = (): Uint8Array =>
    encodeNodeRecord({ addr: random.bytes(16), port: 7000, nrVnodes: random.below(300), zone: 1, space: 0 })
  return spoil(Buffer.concat(Array.from({ length: count }, node)), random)
}

function treeNode(random: Random): Uint8Array {
  const leaves = Array.from({ length: random.below(4) }, (_, i) => ({ last: 9 * i, oid: btreeOid(7, i) }))
  return encodeNode({ depth: 2, leaves })
}

/** The answer as a sheep sends it. The first request of a connection has id 2. */
function encode({ message, payload, count = 0 }: Exchange, id: number, random: Random): Uint8Array {
  const bytes = Buffer.alloc(SD_HEADER_SIZE + payload.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  Rsp.opcode.set(view, Req.opcode.get(message.header))
  Rsp.epoch.set(view, id) // it never goes back
  Rsp.id.set(view, id)
  Rsp.dataLength.set(view, payload.length)
  RspNode.nrNodes.set(view, random.chance(0.2) ? random.pick(EDGES) : count)
  bytes.set(payload, SD_HEADER_SIZE)
  return bytes
}

const CLOCK: Clock = { now: () => 0, date: () => 0, random: () => 0, after: () => ({ cancel: () => undefined }) }

/** Sends these, gives the connection the bytes, in pieces by chance, and then the end. What it throws is thrown. */
async function converse(messages: readonly Message[], bytes: Uint8Array, random: Random): Promise<unknown[]> {
  let receiver: Receiver | undefined
  const stream = { write: () => undefined, destroy: () => undefined, reset: () => undefined }
  const world = {
    clock: CLOCK,
    dial: (_: unknown, one: Receiver) => {
      receiver = one
      return stream
    },
  }
  const options = { world, connectTimeoutMs: 1, deadlineMs: () => 1, trimsZeros: () => random.chance(0.2) }
  const opening = Connection.open({ host: '10.0.0.1', port: 7000 }, options, () => undefined)
  receiver?.connected()
  const connection = await opening
  const answers = messages.map((message) => connection.exchange(message).catch((error: unknown) => error))
  const most = Math.max(LARGEST_SCRATCH, ...messages.map(({ wanted }) => wanted))
  for (let at = 0, isOpen = true; at < bytes.length && isOpen;) {
    const into = receiver?.buffer() ?? new Uint8Array(1)
    assert.ok(into.length > 0 && into.length <= most, `room for ${into.length} bytes`)
    const piece = bytes.subarray(at, at + Math.min(into.length, 1 + random.below(random.pick([1, 100, 100_000]))))
    into.set(piece)
    at += piece.length
    isOpen = receiver?.received(piece.length) ?? false
  }
  receiver?.ended(undefined)
  return Promise.all(answers)
}

/** Nothing but a RangeError says that it cannot be. */
function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse()
  } catch (error) {
    assert.ok(error instanceof RangeError, String(error))
    assert.doesNotMatch(error.message, /Invalid|offset|bounds/, 'a RangeError of the engine, not of ours')
    return undefined
  }
}

function parseAll(response: Response): void {
  const { payload } = response
  const nodes = attempt(() => parseNodeList(response)) ?? []
  assert.ok(nodes.length <= SD_MAX_NODES)
  if (nodes.reduce((sum, { nrVnodes }) => sum + nrVnodes, 0) < MOST_VNODES) {
    assert.ok(Ring.of(nodes).holders(dataOid(7, 1), 3).length <= 3)
  }
  for (const slots of [0, 1, FEW_NODES]) attempt(() => parseClusterStatus(payload, slots))
  for (const vid of vidsOf(payload.subarray(0, 64))) assert.ok(vid < 512)
  parseVdiAnswer(response)
  if (payload.length >= 572) parseInodeHeader(payload)
  const head = payload.length >= 8 ? attempt(() => parseNodeHead(payload.subarray(0, 8))) : undefined
  const size = head ? head.count * (head.depth === 1 ? 8 : 16) : Infinity
  const entries = Uint8Array.from(payload.subarray(8, 8 + size))
  if (head && entries.length === size) attempt(() => parseNode(head, entries))
}

export const SHEEP_FUZZER: Fuzzer = {
  name: 'answers of a sheep',
  play: async (random) => {
    const exchanges = [exchangeOf(random), exchangeOf(random)]
    const whole = Buffer.concat(exchanges.map((exchange, i) => encode(exchange, 2 + i, random)))
    const bytes = random.chance(0.4) ? whole : spoil(whole, random)
    const messages = exchanges.map(({ message }) => message)
    const outcomes = await converse(messages, bytes, random)
    for (const [i, outcome] of outcomes.entries()) {
      const { payload, message } = exchanges[i] ?? {}
      if (outcome instanceof Error) {
        assert.ok(outcome instanceof SheepfsError, outcome.stack)
        assert.ok(!whole.equals(bytes) || exchanges.some(isShort), outcome.stack)
      } else {
        const response = outcome as Response
        assert.ok(response.payload.length <= (message?.wanted ?? 0))
        if (whole.equals(bytes)) assert.deepEqual(Buffer.from(response.payload), Buffer.from(payload ?? []))
        parseAll(response)
      }
    }
  },
}

/** A read that is answered by less than was wanted ends a connection. */
function isShort({ message, payload }: Exchange): boolean {
  return message.oid !== undefined && payload.length < message.wanted
}
