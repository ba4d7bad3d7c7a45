import assert from 'node:assert/strict'
import { FRAME_HEADER_SIZE, FrameReader } from '../../src/daemon/ipc/frame-reader.ts'
import { readToWorker } from '../../src/daemon/ipc/supervisor-messages.ts'
import { readFromWorker } from '../../src/daemon/ipc/worker-messages.ts'
import { isSheepfsError } from '../../src/errors.ts'
import type { Random } from '../sheep/random.ts'
import { EDGES, spoil, type Fuzzer } from './fuzzer.ts'

const MOST_BYTES = 4096
const TIMES = { modifiedMs: 1.5, changedMs: 2, isMoving: false }
const STATE = {
  ...{ negotiated: { minor: 38, flags: -1, flags2: 0, maxWrite: 1048576, maxPages: 256, canResend: true } },
  ...{ volumes: [{ name: 'db@1', nodeId: 4, readOnly: true, size: 7, lockOwner: '[::1]:7000', times: TIMES }] },
  ...{ nextNodeId: 5, pageCache: true, objectCache: false, addresses: [{ host: '127.0.0.1', port: 7000 }] },
  ...{ ioTimeoutMs: null, gateways: [], locks: [{ vid: 9, owner: '127.0.0.1:7000' }] },
}
const SPEC = {
  ...{ mount: 'm', engine: 'kernel', mountpoint: '/m', allowOther: false, writeBack: true, uid: 0, gid: 0 },
  ...{ volumeMode: 384, networks: ['10.0.0.0/8'], logLevel: 'info' },
}
const HANDLE = { fh: 1, node: 4, caching: 'direct', request: 0, pid: 0, sinceS: 1.5 }

const FROM_WORKER: readonly unknown[] = [
  { kind: 'serving' },
  { kind: 'state', state: STATE },
  { kind: 'opened', handle: HANDLE },
  { kind: 'closed', fh: 1 },
  { kind: 'waiting', sinceMs: 1, reason: 'no sheep answers' },
  { kind: 'progress', progress: { operation: 'delete', vdi: 'db', done: 1, total: 2 } },
  { kind: 'attachment', event: { kind: 'detached', volume: 'db', reason: 'it was deleted' } },
  { kind: 'grown', volume: 'db', size: 7 },
  { kind: 'times', volumes: [{ name: 'db', nodeId: 4, times: TIMES, untoldMs: 3 }] },
  { kind: 'answer', id: 1, value: { anything: null } },
  { kind: 'part', id: 1, items: [1] },
  { kind: 'refusal', id: 1, error: { code: 'busy', message: 'it is open' } },
  { kind: 'ended', error: { code: 'io', message: 'x' } },
]
const TO_WORKER: readonly unknown[] = [
  { kind: 'start', purpose: 'serve', spec: SPEC, state: STATE, handles: [HANDLE], generation: 1, isKept: true },
  { kind: 'call', id: 1, method: 'attach', args: ['db', { read_only: true }], limits: { limitMs: 30_000 } },
  { kind: 'cancel', id: 1 },
  { kind: 'abandon' },
  { kind: 'last' },
]

/** What a call is made with, and answered by, is read by the shapes of its method. */
const HAS_ANYTHING: readonly string[] = ['answer', 'part', 'call']

const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    '',
    'constructor',
    '__proto__',
    'a\nMAINPID=1',
    '\u001b[2J\u009b\u202e',
    '../../etc/shadow',
    'x'.repeat(5000),
  ],
  ...[-1, 0.5, 1e300, 2 ** 53, ...EDGES, [], {}, [[]], [null], { kind: 'state' }, { length: 2 ** 32 }],
]

/** A copy with one value replaced, left out or put in, anywhere. */
function mutate(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.chance(0.2)) return random.pick(STRANGE)
  if (Array.isArray(value)) {
    if (random.chance(0.3)) return [...(value as unknown[]), random.pick(STRANGE)]
    const at = random.below(Math.max(value.length, 1))
    return (value as unknown[]).map((item, i) => (i === at ? mutate(item, random) : item))
  }
  const entries = Object.entries(value)
  const at = random.below(Math.max(entries.length, 1))
  if (random.chance(0.15)) entries.splice(at, 1)
  else if (random.chance(0.2))
    entries.push([random.pick(['more', 'constructor', '__proto__', 'kind']), random.pick(STRANGE)])
  else if (entries[at]) entries[at] = [entries[at][0], mutate(entries[at][1], random)]
  return Object.fromEntries(entries)
}

/** Read once more, what was read is the same: nothing comes through that would be refused, or read in another way. */
function readTwice(read: (value: unknown) => unknown, value: unknown): void {
  let once: unknown
  try {
    once = read(value)
  } catch (error) {
    assert.ok(isSheepfsError(error, 'protocol') || isSheepfsError(error, 'invalid'), String(error))
    return
  }
  assert.deepEqual(read(once), once)
  assert.equal(Object.getPrototypeOf(once), Object.prototype)
  const { kind } = once as { readonly kind: string }
  if (!HAS_ANYTHING.includes(kind)) assert.doesNotMatch(JSON.stringify(once), /"(?:more|constructor|__proto__)":/)
  assert.equal(({} as { more?: unknown }).more, undefined)
}

function readFrames(messages: readonly unknown[], random: Random): void {
  const frames = messages.map((message) => {
    const body = Buffer.from(JSON.stringify(message))
    const header = Buffer.alloc(FRAME_HEADER_SIZE)
    header.writeUInt32LE(body.length)
    return Buffer.concat([header, body])
  })
  const whole = Buffer.concat(frames)
  const bytes = Buffer.from(random.chance(0.5) ? whole : spoil(whole, random))
  const isAsSent = bytes.equals(whole)
  const reader = new FrameReader(MOST_BYTES)
  const bodies: Buffer[] = []
  try {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + 1 + random.below(random.pick([1, 50, 10_000])))
      for (const body of reader.push(piece)) bodies.push(Buffer.from(body))
      at += piece.length
    }
  } catch (error) {
    assert.ok(isSheepfsError(error, 'protocol'), String(error))
    assert.ok(!isAsSent || frames.some((frame) => frame.length - FRAME_HEADER_SIZE > MOST_BYTES))
    return
  }
  for (const body of bodies) assert.ok(body.length > 0 && body.length <= MOST_BYTES)
  if (isAsSent)
    assert.deepEqual(
      bodies.map(String),
      messages.map((message) => JSON.stringify(message)),
    )
}

export const IPC_FUZZER: Fuzzer = {
  name: 'messages between supervisor and worker',
  play: (random) => {
    const isFromWorker = random.chance(0.7)
    let value = random.pick(isFromWorker ? FROM_WORKER : TO_WORKER)
    for (let changes = random.below(4); changes > 0; changes--) value = mutate(value, random)
    const sent: unknown = JSON.parse(JSON.stringify(value))
    readTwice(isFromWorker ? readFromWorker : readToWorker, sent)
    readFrames([sent, random.pick(FROM_WORKER)], random)
    return Promise.resolve()
  },
}
