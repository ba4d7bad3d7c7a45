import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readToWorker } from '../../../src/daemon/ipc/supervisor-messages.ts'
import { WorkerCalls } from '../../../src/daemon/supervisor/worker-calls.ts'
import { CallAnswers } from '../../../src/daemon/worker/call-answers.ts'
import type { FromWorker, MethodName } from '../../../src/daemon/worker-protocol.ts'
import { isSheepfsError } from '../../../src/errors.ts'

type Said = Extract<FromWorker, { kind: 'answer' | 'part' | 'refusal' }>

const VDI = {
  ...{ volume: null, name: 'a', tag: '', snapshot_id: 0, snapshot: false, clone: false, vid: '1', size: 0, used: 0 },
  ...{ shared: 0, object_size: 0, copies: '1', hyper: false, created_at: new Date(0).toISOString() },
}

/** What a worker that has these methods says to a call. */
async function say(methods: object, method: MethodName, args: readonly unknown[] = [], bytes = 1): Promise<Said[]> {
  const said: Said[] = []
  const answers = new CallAnswers(methods, (message) => {
    said.push(JSON.parse(JSON.stringify(message)) as Said)
    return bytes
  })
  answers.hear(readToWorker({ kind: 'call', id: 1, method, args, limits: { limitMs: null } }))
  await answers.whenAnswered()
  return said
}

describe('the answer of a worker', () => {
  test('comes in parts when it is long, and is whole again', async () => {
    for (const length of [0, 1, 512, 513, 1024, 1300]) {
      const vdis = Array.from({ length }, (_, at) => ({ ...VDI, snapshot_id: at }))
      const said = await say({ vdis: () => Promise.resolve(vdis) }, 'vdis')
      assert.equal(said.length, Math.max(1, Math.ceil(length / 512)))
      const calls = new WorkerCalls()
      const { answer } = calls.open('vdis')
      for (const message of said) calls.take(message, 1)
      assert.deepEqual(await answer, vdis)
    }
  })

  test('is a refusal when it is longer than the supervisor would take', async () => {
    const vdis = Array.from({ length: 20_000 }, () => VDI)
    const said = await say({ vdis: () => Promise.resolve(vdis) }, 'vdis', [], 2 ** 20)
    const calls = new WorkerCalls()
    const { answer } = calls.open('vdis')
    for (const message of said) calls.take(message, 2 ** 20)
    await assert.rejects(answer, (error) => isSheepfsError(error, 'too-large'))
  })

  test('is a refusal to a call with other arguments than the method has', async () => {
    const [said] = await say({ attach: () => Promise.resolve() }, 'attach', ['db', { read_only: 'yes' }])
    assert.equal(said?.kind === 'refusal' && said.error.code, 'protocol')
  })

  test('hears that a limit is for ever', async () => {
    let heard: unknown
    await say({ setIoTimeout: (timeoutMs: number) => Promise.resolve((heard = timeoutMs)) }, 'setIoTimeout', [null])
    assert.equal(heard, Infinity)
  })
})

describe('what a supervisor says', () => {
  test('is refused when it is not of the protocol', () => {
    const call = { kind: 'call', id: 1, method: 'ping', args: [], limits: { limitMs: 1 } }
    assert.deepEqual(readToWorker({ ...call, more: 1 }), call)
    for (const bad of [
      ...[null, {}, { kind: 'toString' }, { kind: 'cancel' }, { kind: 'start' }, { ...call, method: 'constructor' }],
      ...[
        { ...call, method: 'terminate' },
        { ...call, limits: {} },
        { ...call, id: -1 },
      ],
    ]) {
      assert.throws(() => readToWorker(bad), JSON.stringify(bad))
    }
  })
})
