import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MountRecord, readRecord } from '../../../src/daemon/mount/mount-record.ts'
import { parseRecord } from '../../../src/daemon/mount/recorded-mount.ts'
import type { MountState } from '../../../src/daemon/worker-protocol.ts'
import type { OpenHandle } from '../../../src/fuse/kernel/open-files.ts'

const STATE: MountState = {
  negotiated: { minor: 40, flags: 1, flags2: 2, maxWrite: 2 ** 20, maxPages: 256, canResend: true },
  volumes: [
    {
      name: 'v@ ä',
      nodeId: 1000,
      readOnly: false,
      size: 2 ** 40,
      times: { modifiedMs: 1.5, changedMs: 2, isMoving: true },
      inode: { vid: 7, createdAt: '0123456789abcdef' },
      isTemporary: true,
    },
  ],
  nextNodeId: 1001,
  pageCache: true,
  objectCache: false,
  addresses: [{ host: '::1', port: 7000 }],
  ioTimeoutMs: Infinity,
  gateways: [{ host: '127.0.0.1', port: 7000 }],
  locks: [{ vid: 7, owner: '127.0.0.1:7000' }],
}

function handle(fh: number, caching: OpenHandle['caching'] = 'direct'): OpenHandle {
  return { fh, node: 1000, caching, request: 2 * fh, pid: 1, sinceS: 0.25 }
}

describe('the record of a mount', () => {
  let folder: string
  let fd: number
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sheepfs-'))
  })
  after(() => rm(folder, { recursive: true }))
  beforeEach(() => {
    fd = openSync(join(folder, 'record'), 'w+')
  })

  function recorded(): ReturnType<typeof parseRecord> {
    const found = readRecord(fd)
    return found && parseRecord(found)
  }

  const openFiles = (): readonly number[] => (recorded()?.handles ?? []).map(({ fh }) => fh).toSorted((a, b) => a - b)

  test('is nothing before a worker has begun, nor when it is of somebody else', () => {
    assert.equal(recorded(), undefined)
    writeSync(fd, `7 1 1\n${' '.repeat(200)}`)
    assert.equal(recorded(), undefined)
  })

  test('is all that a worker began with, and what it has told since', () => {
    const record = new MountRecord(fd)
    record.begin({ generation: 3, state: STATE, handles: [handle(1), handle(2, 'cached')] })
    assert.deepEqual(recorded(), { generation: 3, state: STATE, handles: [handle(1), handle(2, 'cached')] })
    record.note({ kind: 'closed', fh: 1 })
    record.note({ kind: 'opened', handle: handle(3) })
    record.note({ kind: 'state', state: { ...STATE, pageCache: false, ioTimeoutMs: 2500 } })
    const times = { modifiedMs: 10, changedMs: 11, isMoving: false }
    record.note({ kind: 'times', volumes: [{ name: 'v', nodeId: 1000, times }] })
    const [volume] = STATE.volumes
    const state = { ...STATE, pageCache: false, ioTimeoutMs: 2500, volumes: [{ ...volume, times }] }
    assert.deepEqual(recorded(), { generation: 3, state, handles: [handle(3), handle(2, 'cached')] })
  })

  test('keeps what stays open through the beginning of the next worker', () => {
    new MountRecord(fd).begin({ generation: 1, state: STATE, handles: [handle(1), handle(2), handle(3)] })
    const next = new MountRecord(fd)
    next.begin({ generation: 2, state: STATE, handles: [handle(3), handle(4), handle(2)] })
    assert.deepEqual(openFiles(), [2, 3, 4])
    next.note({ kind: 'closed', fh: 4 })
    next.note({ kind: 'closed', fh: 4 })
    assert.deepEqual(openFiles(), [2, 3])
    assert.equal(recorded()?.generation, 2)
  })

  test('takes no more room for files that come and go', () => {
    const record = new MountRecord(fd)
    record.begin({ generation: 1, state: STATE, handles: [] })
    for (let fh = 1; fh < 1000; fh++) {
      record.note({ kind: 'opened', handle: handle(fh) })
      if (fh > 1) record.note({ kind: 'closed', fh: fh - 1 })
    }
    assert.deepEqual(openFiles(), [999])
    assert.ok(fstatSync(fd).size <= 2 ** 24 + 2 * 256)
  })

  test('of a hostile worker is read in bounds, and believed no further than its messages', () => {
    const hostile = { ...STATE, volumes: [{ name: '../../etc/shadow', nodeId: 1, readOnly: false }] }
    new MountRecord(fd).begin({ generation: 1, state: hostile, handles: [] })
    assert.equal(recorded(), undefined)
    new MountRecord(fd).begin({ generation: 1, state: STATE, handles: [{ ...handle(1), pid: -1 }, handle(2)] })
    ftruncateSync(fd, 2 ** 40)
    assert.deepEqual(openFiles(), [2])
  })

  test('is the state before when the last was cut short', () => {
    const record = new MountRecord(fd)
    record.begin({ generation: 1, state: STATE, handles: [] })
    record.note({ kind: 'state', state: { ...STATE, nextNodeId: 2000 } })
    assert.equal(recorded()?.state.nextNodeId, 2000)
    writeSync(fd, '\0', 80) // in the later one
    assert.equal(recorded()?.state.nextNodeId, 1001)
    ftruncateSync(fd, 10)
    assert.equal(recorded(), undefined)
  })

  test('is whole at every moment at which its worker may be killed', { timeout: 60_000 }, async () => {
    const modules = join(import.meta.dirname, '../../../src/daemon/mount/mount-record.js')
    const program = `
      const { MountRecord } = await import(${JSON.stringify(modules)})
      const record = new MountRecord(3)
      const state = ${JSON.stringify({ ...STATE, ioTimeoutMs: 1 })}
      record.begin({ generation: 1, state, handles: [] })
      process.stdout.write('begun')
      for (let fh = 1; ; fh++) {
        record.note({ kind: 'opened', handle: { fh, node: 1000, caching: 'direct', request: fh, pid: 1, sinceS: 1 } })
        record.note({ kind: 'state', state: { ...state, nextNodeId: 1001 + fh } })
        record.note({ kind: 'closed', fh })
      }`
    for (let ms = 0; ms < 20; ms++) {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
        stdio: ['ignore', 'pipe', 'inherit', fd],
      })
      if (child.stdout) await once(child.stdout, 'data')
      await sleep(ms)
      child.kill('SIGKILL')
      await once(child, 'close')
      const found = recorded()
      assert.ok(found)
      const [open] = found.handles
      const told = found.state.nextNodeId - 1001
      if (open) assert.ok(open.fh === told || open.fh === told + 1, `fh ${open.fh} after ${told}`)
    }
    closeSync(fd)
  })
})

describe('a record of another version', () => {
  const recorded = { version: 9, generation: 4, state: { ...STATE, ioTimeoutMs: null }, handles: [handle(1)] }

  test('counts for as much as both versions know', () => {
    const state = { ...recorded.state, pageCache: 'sometimes', locks: [{ volume: 'v' }], more: 1 }
    const expected = { ...STATE, pageCache: false, locks: [] }
    assert.deepEqual(parseRecord({ ...recorded, state, handles: [handle(1), { file: 'x' }] }), {
      generation: 4,
      state: expected,
      handles: [handle(1)],
    })
  })

  test('counts for nothing without what a worker needs', () => {
    for (const key of ['volumes', 'nextNodeId', 'addresses'] as const) {
      assert.equal(parseRecord({ ...recorded, state: { ...recorded.state, [key]: undefined } }), undefined, key)
    }
    assert.equal(parseRecord({ ...recorded, generation: 'x' }), undefined)
  })
})
