import assert from 'node:assert/strict'
import { Session } from '../../src/fuse/kernel/session.ts'
import { silentLogger } from '../../src/log.ts'
import { FuseOpcode } from '../../src/wire/fuse-abi.ts'
import { FakeDevice, packed, request } from '../fuse/kernel/fake-device.ts'
import { ioArgs, TEST_ID } from '../fuse/kernel/fake-session.ts'
import { MemoryTree } from '../fuse/memory-tree.ts'
import type { Random } from '../sheep/random.ts'
import { EDGES, spoil, type Fuzzer } from './fuzzer.ts'

const VOLUME_SIZE = 1 << 16
const REQUESTS = 12
/** Of the request that has to be answered after all others. */
const LAST = 999_999n
const NEGOTIATED = { minor: 45, flags: 0, flags2: 0, maxWrite: 1 << 20, maxPages: 256, canResend: true }
/** Answered by nobody, rightly. DESTROY ends the session, and a kernel sends INIT once. */
const LEFT_OUT: readonly number[] = [FuseOpcode.DESTROY, FuseOpcode.INIT]
const OPCODES = Object.values(FuseOpcode).filter((opcode) => !LEFT_OUT.includes(opcode))

function argsOf(random: Random): Uint8Array {
  const number = (): number => (random.chance(0.5) ? random.below(16) : random.pick(EDGES))
  const kinds: readonly (() => Uint8Array)[] = [
    () => new Uint8Array(0),
    () => Buffer.from(random.pick(['volume\0', 'test\0', '..\0', '\0', 'a'.repeat(300) + '\0', 'no end', 'a\0b\0'])),
    () => ioArgs(BigInt(number()), number(), number()),
    () => Buffer.concat([ioArgs(BigInt(number()), number(), 64), random.bytes(64)]),
    () => Buffer.concat(Array.from({ length: 22 }, () => packed([number(), 4]))),
    () => random.bytes(random.below(200)),
  ]
  return random.pick(kinds)()
}

function requestOf(random: Random, unique: bigint): Uint8Array {
  const opcode = random.chance(0.9) ? random.pick(OPCODES) : 60 + random.below(4000)
  const nodeid = random.pick([1, 2, 3, 5, TEST_ID, 11, 2 ** 32, Number.MAX_SAFE_INTEGER])
  const bytes = request(opcode, { unique, nodeid, args: argsOf(random) })
  if (random.chance(0.6)) return bytes
  const spoilt = spoil(bytes, random)
  if (spoilt.length < 40) return bytes // no kernel sends less than a header
  const view = new DataView(spoilt.buffer, spoilt.byteOffset)
  view.setBigUint64(8, unique, true)
  return LEFT_OUT.includes(view.getUint32(4, true)) ? bytes : spoilt
}

function checkReplies(sent: readonly Buffer[], asked: ReadonlySet<bigint>): void {
  const answered = new Set<bigint>()
  for (const message of sent) {
    assert.equal(message.readUInt32LE(0), message.length)
    const unique = message.readBigUInt64LE(8)
    const error = message.readInt32LE(4)
    if (unique === 0n) continue // a notification
    assert.ok(asked.has(unique), `a reply to ${unique}, which nobody asked`)
    assert.ok(!answered.has(unique), `two replies to ${unique}`)
    assert.ok(error <= 0 && error > -512, `error ${error}`)
    assert.ok(error === 0 || message.length === 16, 'an error with a payload')
    answered.add(unique)
  }
  assert.ok(answered.has(LAST), 'the session serves no more')
}

export const FUSE_FUZZER: Fuzzer = {
  name: 'requests of a kernel',
  play: async (random) => {
    const device = new FakeDevice()
    const options = { generation: 1, memoryLimit: 40 << 20, writeBack: random.chance(0.5), negotiated: NEGOTIATED }
    const session = new Session({ tree: new MemoryTree(VOLUME_SIZE), device, log: silentLogger(), ...options })
    const ended = session.ended.catch((error: unknown) => error)
    session.start()
    const uniques = Array.from({ length: REQUESTS }, (_, i) => BigInt(2 * i + 2))
    for (const unique of uniques) device.put(requestOf(random, unique))
    device.put(request(FuseOpcode.GETATTR, { unique: LAST, nodeid: 1, args: new Uint8Array(16) }))
    const isAnswered = (): boolean => device.sent.some((message) => message.readBigUInt64LE(8) === LAST)
    for (let turn = 0; turn < 1000 && !isAnswered(); turn++) await new Promise(setImmediate)
    checkReplies(device.sent, new Set([...uniques, LAST]))
    await session.close()
    assert.equal(await ended, 'closed')
  },
}
