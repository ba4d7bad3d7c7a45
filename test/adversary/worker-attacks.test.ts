import assert from 'node:assert/strict'
import { dirname } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FuseOpcode } from '../../src/wire/fuse-abi.ts'
import { missing } from '../e2e/stage/ability.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { HANDLE, TIMES } from './bad-messages.ts'
import { CAPTURED, CapturedDaemon } from './captured-daemon.ts'
import type { Lie, Order } from './captured-process.ts'
import { STATE } from './captured-worker.ts'

const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }
const FAR_MS = 8.64e15
const S_IFCHR = 0o020000
const S_IFBLK = 0o060000
const S_IFLNK = 0o120000
const S_IFREG = 0o100000
/** From the beginning of a reply to LOOKUP: its header, the entry, the attributes. */
const ENTRY_ATTR = 16 + 40
const GETATTR_ATTR = 16 + 16

function grown(volume: string, size: number): Order {
  return { say: { kind: 'grown', volume, size } }
}

function moved(name: string, untoldMs: number): Order {
  return { say: { kind: 'times', volumes: [{ name, nodeId: 4, times: TIMES, untoldMs }] } }
}

function stateOf(change: object): Order {
  return { say: { kind: 'state', state: { ...STATE, ...change } } }
}

/** By the schema each of them is a message, or none at all. */
const ORDERS: readonly (readonly [string, Order])[] = [
  ['a volume that is not there has grown', grown('nosuch', 2 ** 40)],
  ['a volume has shrunk to nothing', grown('bait', 0)],
  ['a volume has grown beyond all files', grown('bait', Number.MAX_SAFE_INTEGER)],
  ['a volume was changed before the flood', moved('bait', -FAR_MS)],
  ['a volume will be changed at the end of days', moved('bait', FAR_MS)],
  ['many volumes have grown', { say: { kind: 'grown', volume: 'bait', size: 1 }, times: 20_000 }],
  ['it has no sheep', stateOf({ addresses: [] })],
  ['it has the port of somebody else', stateOf({ addresses: [{ host: '127.0.0.1', port: 1 }] })],
  ['nothing is attached', stateOf({ volumes: [] })],
  ['volumes are attached that nobody attached', stateOf({ volumes: manyVolumes(5000) })],
  ['two volumes have one number', stateOf({ volumes: [...manyVolumes(1), ...manyVolumes(1)] })],
  ['node ids begin anew', stateOf({ nextNodeId: 0 })],
  ['nothing was negotiated', stateOf({ negotiated: undefined })],
  ['requests may be of any size', stateOf({ negotiated: { ...STATE.negotiated, maxWrite: 2 ** 53 - 1, maxPages: 0 } })],
  ['I/O fails at once', stateOf({ ioTimeoutMs: 0 })],
  ['I/O waits longer than the universe', stateOf({ ioTimeoutMs: 1e308 })],
  ['states, as fast as it can', { say: { kind: 'state', state: STATE }, times: 20_000 }],
  ['it has locks of everybody', stateOf({ locks: Array.from({ length: 1000 }, (_, vid) => ({ vid, owner: 'a:1' })) })],
  ['a file is open that is not', { say: { kind: 'opened', handle: HANDLE } }],
  ['the daemon has a file open', { say: { kind: 'opened', handle: { ...HANDLE, pid: process.pid } } }],
  ['init has a file open', { say: { kind: 'opened', handle: { ...HANDLE, fh: 2, pid: 1 } } }],
  ['a process that cannot be has a file open', { say: { kind: 'opened', handle: { ...HANDLE, fh: 3, pid: 2 ** 52 } } }],
  ['a file is closed that was not open', { say: { kind: 'closed', fh: 2 ** 52 } }],
  ['it waits since the beginning of time', { say: { kind: 'waiting', sinceMs: -FAR_MS, reason: 'x' } }],
  ['it waits, and says so at length', { say: { kind: 'waiting', sinceMs: 1, reason: '\n\u001b[2J'.repeat(100_000) } }],
  ['it waits as somebody else', { say: { kind: 'waiting', sinceMs: 1, reason: 'READY=1\nMAINPID=1\nSTATUS=forged' } }],
  ['it waits and does not, as fast as it can', { say: { kind: 'waiting', reason: '' }, times: 50_000 }],
  ['progress of what nobody does', { say: progress(2 ** 53 - 1, 0), times: 10_000 }],
  ['volumes come and go', { say: attachment('attached'), times: 10_000 }],
  [
    'a volume went for a reason that is none',
    { say: { kind: 'attachment', event: { ...event('detached'), reason: '\n' } } },
  ],
  ['it serves, again and again', { say: { kind: 'serving' }, times: 1000 }],
  ['it has ended, and lives on', { say: { kind: 'ended' } }],
  [
    'it has ended, of something terrible',
    { say: { kind: 'ended', error: { code: 'io', message: '\u202e\n'.repeat(1e5) } } },
  ],
  ['a refusal of nothing', { say: { kind: 'refusal', id: 0, error: { code: 'io', message: '' } } }],
  ['the answer to the next ping, before it comes', { say: { kind: 'answer', id: 3 }, times: 3 }],
  ['a part of no list', { say: { kind: 'part', id: 1, items: [] } }],
  ['a frame that is never whole', { write: Buffer.from([0, 0, 64, 0, 0x7b]).toString('base64') }],
  ['a frame of 4 GiB', { write: Buffer.from([255, 255, 255, 255]).toString('base64') }],
  ['zeros', { write: Buffer.alloc(1000).toString('base64'), times: 1000 }],
  [
    'a complaint in another name',
    { complain: '<0>sheepfsd[1]: forged\n{"level":"fatal","pid":1,"mount":"other","msg":"forged"}\n' },
  ],
  ['a complaint without an end', { complain: 'x'.repeat(50_000), times: 100 }],
  ['complaints, as fast as it can', { complain: 'x\n'.repeat(10_000), times: 20 }],
  ['silence', 'hang'],
]

function manyVolumes(length: number): object[] {
  return Array.from({ length }, (_, at) => ({ name: `other${at}`, nodeId: 4 + at, readOnly: false }))
}

function progress(done: number, total: number): object {
  return { kind: 'progress', progress: { operation: 'delete', vdi: '\n', done, total } }
}

function event(kind: 'attached' | 'detached'): object {
  return { kind, volume: 'bait' }
}

function attachment(kind: 'attached' | 'detached'): object {
  return { kind: 'attachment', event: event(kind) }
}

/** A little-endian number of 4 or 8 bytes, in hexadecimal. */
function number(value: number | bigint, size: 4 | 8): string {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes.toString('hex', 0, size)
}

function typed(mode: number): Record<number, string> {
  return { [ENTRY_ATTR + 60]: number(mode, 4) }
}

const { LOOKUP, GETATTR, READ, READDIRPLUS, OPEN, WRITE, STATFS, READLINK, GETXATTR, SETATTR } = FuseOpcode

/** A struct fuse_direntplus that says of a name that it is a link. */
function direntplus(name: string, nameLength = name.length): string {
  const bytes = Buffer.alloc(152 + Math.ceil(name.length / 8) * 8)
  bytes.writeBigUInt64LE(666n, 0)
  bytes.writeUInt32LE(S_IFLNK + 0o777, 40 + 60)
  bytes.writeBigUInt64LE(666n, 128)
  bytes.writeBigUInt64LE(1n, 136)
  bytes.writeUInt32LE(nameLength, 144)
  bytes.write(name, 152)
  return bytes.toString('base64')
}

function linkTo(target: string): Lie {
  return { opcode: READLINK, payload: Buffer.from(target).toString('base64') }
}

/** What the kernel is told. */
function liesOf(victim: string): readonly (readonly [string, ...Lie[]])[] {
  const bait = { opcode: LOOKUP, name: 'bait' }
  const volumes = { opcode: LOOKUP, name: 'volume', patches: typed(S_IFLNK + 0o777) }
  return [
    ['a volume is a link to a file of the host', { ...bait, patches: typed(S_IFLNK + 0o777) }, linkTo(victim)],
    ['the folder of volumes is a link to one of the host', volumes, linkTo(dirname(victim))],
    ['a volume is a device', { ...bait, patches: { ...typed(S_IFCHR + 0o666), [ENTRY_ATTR + 76]: number(0x103, 4) } }],
    ['a volume is a disk', { ...bait, patches: { ...typed(S_IFBLK + 0o666), [ENTRY_ATTR + 76]: number(0x800, 4) } }],
    ['a volume is a program of root', { ...bait, patches: typed(S_IFREG + 0o6755) }],
    ['a volume has no end', { ...bait, patches: { [ENTRY_ATTR + 8]: number(2n ** 63n - 1n, 8) } }],
    ['a volume has less than no size', { ...bait, patches: { [ENTRY_ATTR + 8]: number(2n ** 64n - 1n, 8) } }],
    ['a volume is the root of the tree', { ...bait, patches: { 16: number(1, 8) } }],
    ['a volume has no number', { ...bait, patches: { 16: number(0, 8) } }],
    ['what was a file is a folder', { opcode: GETATTR, patches: { [GETATTR_ATTR + 60]: number(0o40755, 4) } }],
    [
      'a file was not changed but became a link',
      { opcode: SETATTR, patches: { [GETATTR_ATTR + 60]: number(S_IFLNK, 4) } },
    ],
    ['more was read than was asked for', { opcode: READ, payload: Buffer.alloc(2 ** 21).toString('base64') }],
    ['more was written than was given', { opcode: WRITE, patches: { 16: number(2 ** 32 - 1, 4) } }],
    ['a reply is longer than it is', { opcode: OPEN, length: 2 ** 31 }],
    ['a reply has no length', { opcode: OPEN, length: 0 }],
    ['an error is none', { opcode: OPEN, error: 1 }],
    ['an error has no name', { opcode: OPEN, error: -(2 ** 31) }],
    ['a folder has names that lead up', { opcode: READDIRPLUS, payload: direntplus('../../etc/shadow') }],
    ['a folder has a name without end', { opcode: READDIRPLUS, payload: direntplus('x', 2 ** 32 - 1) }],
    [
      'a folder has entries that are none',
      { opcode: READDIRPLUS, payload: Buffer.alloc(4096, 0xff).toString('base64') },
    ],
    ['the cluster has no end', { opcode: STATFS, payload: Buffer.alloc(80, 0xff).toString('base64') }],
    [
      'a program may do everything',
      { opcode: GETXATTR, payload: Buffer.from('AQAAAv////8AAAAA/////wAAAAA=').toString('base64') },
    ],
  ]
}

function notification(code: number, ...numbers: readonly (number | bigint)[]): Order {
  const body = Buffer.from(numbers.map((one) => number(one, 8)).join(''), 'hex')
  const header = Buffer.alloc(16)
  header.writeUInt32LE(16 + body.length)
  header.writeInt32LE(code, 4)
  return { notify: Buffer.concat([header, body]).toString('base64') }
}

/** fuse_notify_code: 1 poll, 2 inode, 3 entry, 4 store, 5 retrieve, 6 delete, 7 resend. */
const NOTIFICATIONS: readonly (readonly [string, Order])[] = [
  ['all of every file is forgotten', notification(2, 1, 0, -1n & 0x7fffffffffffffffn)],
  ['a poll that nobody waits for', notification(1, 2n ** 64n - 1n)],
  ['content beyond the end of a file', notification(4, 4, 2n ** 62n, 4096)],
  ['content of another node', notification(5, 1, 4, 0, 2 ** 32 - 1)],
  ['a notification that is none', notification(4711, 0)],
  ['send everything again', notification(7)],
]

describe('a captured worker', NEEDS, () => {
  const stage = new Stage()
  let scene: CapturedDaemon
  before(async () => {
    scene = await CapturedDaemon.start(stage)
  })
  after(() => stage.close())

  test('that says what can be said harms nobody but its own mount', async () => {
    assert.ok(ORDERS.length >= 40)
    for (const [what, order] of ORDERS) {
      await scene.capture()
      await scene.order(order)
      await scene.use()
      await scene.checkUnharmed(what)
    }
    for (const line of scene.daemon.log().split('\n')) {
      const record = JSON.parse(line === '' ? '{}' : line) as { msg?: string; pid?: number; mount?: string }
      if (record.msg?.includes('forged') === true)
        assert.deepEqual([record.pid, record.mount], [scene.daemon.child.pid, CAPTURED])
    }
  })

  test('that lies to the kernel harms nobody but its own mount', async () => {
    const lies = liesOf(scene.victim)
    assert.ok(lies.length >= 10)
    for (const [what, ...told] of lies) {
      await scene.capture()
      await scene.order({ lies: told })
      await scene.use()
      await scene.daemon.client.resizeVdi(CAPTURED, scene.volume, { size: 2 ** 21 }).catch(() => undefined)
      assert.notEqual(await scene.order({ lies: [] }), 0, `nobody asks: ${what}`)
      await scene.checkUnharmed(what)
    }
  })

  test('that tells the kernel what is not asked harms nobody but its own mount', async () => {
    for (const [what, order] of NOTIFICATIONS) {
      await scene.capture()
      await scene.order(order)
      await scene.use()
      await scene.checkUnharmed(what)
    }
  })
})
