import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ANSWERS, readFromWorker } from '../../src/daemon/ipc/worker-messages.ts'
import type { FromWorker } from '../../src/daemon/worker-protocol.ts'
import { isSheepfsError, plainLine } from '../../src/errors.ts'
import { BAD, HANDLE, TIMES } from './bad-messages.ts'
import { captureWorker, STATE } from './captured-worker.ts'

const GOOD: readonly FromWorker[] = [
  { kind: 'serving' },
  { kind: 'state', state: STATE },
  { kind: 'opened', handle: HANDLE },
  { kind: 'closed', fh: 1 },
  { kind: 'waiting', sinceMs: 1, reason: 'no sheep answers' },
  { kind: 'progress', progress: { operation: 'delete', vdi: 'db', done: 1, total: 2 } },
  { kind: 'attachment', event: { kind: 'detached', volume: 'constructor', reason: 'it was deleted' } },
  { kind: 'grown', volume: '__proto__', size: 7 },
  { kind: 'times', volumes: [{ name: 'db', nodeId: 4, times: TIMES, untoldMs: 3 }] },
  { kind: 'answer', id: 1, value: { anything: null } },
  { kind: 'refusal', id: 1, error: { code: 'busy', message: 'it is open' } },
  { kind: 'ended', error: { code: 'io', message: 'x' } },
]

describe('what a worker sends', () => {
  test('is read as it was sent, when it is of the protocol', () => {
    for (const message of GOOD) assert.deepEqual(readFromWorker(message), message)
  })

  test('has nothing in it that is not of the protocol', () => {
    assert.deepEqual(readFromWorker({ kind: 'closed', fh: 1, more: 'x'.repeat(100) }), { kind: 'closed', fh: 1 })
    const polluted: unknown = JSON.parse('{"kind":"closed","fh":1,"__proto__":{"fh":2}}')
    assert.deepEqual(readFromWorker(polluted), { kind: 'closed', fh: 1 })
  })

  test('is refused when it is not', () => {
    assert.ok(BAD.length >= 50, String(BAD.length))
    for (const message of BAD) {
      assert.throws(
        () => readFromWorker(message),
        (error) => isSheepfsError(error, 'protocol') || isSheepfsError(error, 'invalid'),
        JSON.stringify(message).slice(0, 200),
      )
    }
  })

  test('is one line, where people read it', () => {
    const reason = 'a\nMAINPID=1\r\u001b[2Jb\u009b1m\u202ec\u2028'
    const heard = readFromWorker({ kind: 'waiting', sinceMs: 1, reason })
    assert.equal(heard.kind === 'waiting' && heard.reason, 'a MAINPID=1 [2Jb 1m c ')
    assert.equal(plainLine('x'.repeat(1e6)).length, 1000)
  })

  test('answers a call with what the method has, and with nothing else', () => {
    for (const value of [null, {}, [], 'x', { openFiles: -1 }, { openFiles: 1, gateway: { host: '\n', port: 1 } }])
      assert.throws(() => ANSWERS.report(value), JSON.stringify(value))
    const operation = {
      operation: 'read',
      count: 1,
      errors: 0,
      bytes: 1,
      inFlight: 0,
      waiting: 0,
      latencySumS: 0,
      latencyCounts: [],
    }
    const metrics = {
      measuredAtS: 1.5,
      operations: [operation],
      openFiles: 0,
      sheepInFlight: 0,
      reconnects: 0,
      retries: 0,
    }
    const rest = { resentRequests: 0, waitingRequests: 0, workerMemory: 1 }
    assert.deepEqual(ANSWERS.metrics({ ...metrics, ...rest }), { ...metrics, ...rest })
    assert.throws(() => ANSWERS.metrics({ ...metrics, ...rest, retries: -1 }))
    assert.throws(() => ANSWERS.metrics({ ...metrics, ...rest, operations: [operation, operation] }), /"read" twice/)
    const volume = { volume: 'a', measuredAtS: 1, operations: [operation], openDirect: 0, openCached: 1, size: 512 }
    const locked = { ...volume, isLocked: true, isStale: false }
    assert.deepEqual(ANSWERS.volumeMetrics([locked]), [locked])
    for (const bad of [
      { volume: '../x' },
      { operations: [{ ...operation, operation: 'getattr' }] },
      { operations: Array.from({ length: 5 }, () => operation) },
      { isLocked: 1 },
    ])
      assert.throws(() => ANSWERS.volumeMetrics([{ ...locked, ...bad }]), JSON.stringify(bad))
    for (const bad of [
      { count: NaN },
      { errors: -1 },
      { operation: 'a\nb' },
      { latencySumS: -1 },
      { latencyCounts: [-1] },
    ])
      assert.throws(() => ANSWERS.metrics({ ...metrics, ...rest, operations: [{ ...operation, ...bad }] }))
    assert.throws(() => ANSWERS.volumes([{ name: '../x' }]))
    assert.throws(() => ANSWERS.vdis({}))
  })

  test('kills it when it is not of the protocol, and that is said', { timeout: 60_000 }, async () => {
    for (const message of BAD.slice(10, 22)) {
      const heard: FromWorker[] = []
      const how = await new Promise<string>((resolve) => {
        captureWorker([{ say: { kind: 'closed', fh: 1 } }, { say: message }, { say: { kind: 'serving' } }], {
          onMessage: (message) => heard.push(message),
          onExit: resolve,
        })
      })
      assert.deepEqual(heard, [{ kind: 'closed', fh: 1 }]) // nothing after the breach
      assert.match(how, /^SIGKILL, for a breach of the protocol: .*expected/)
    }
  })

  test('kills it also when it is something that cannot be dealt with', { timeout: 60_000 }, async () => {
    const how = await new Promise<string>((resolve) => {
      captureWorker([{ say: { kind: 'serving' } }], {
        onMessage: () => {
          throw new RangeError('Invalid time value')
        },
        onExit: resolve,
      })
    })
    assert.equal(how, 'SIGKILL, for a breach of the protocol: Invalid time value')
  })
})
