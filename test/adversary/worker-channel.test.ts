import assert from 'node:assert/strict'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { WorkerClient } from '../../src/daemon/supervisor/worker-client.ts'
import { WorkerQuestion } from '../../src/daemon/supervisor/worker-question.ts'
import { isSheepfsError } from '../../src/errors.ts'
import { captureWorker } from './captured-worker.ts'
import type { Deed } from './hostile-worker.ts'

const WITH_LIMIT = { timeout: 60_000 }
const MIB = 2 ** 20

interface Captured {
  readonly worker: WorkerClient
  /** How it ended. */
  readonly gone: Promise<string>
}

/** A worker that has done its deeds as soon as it says that it serves, and does the others when it is called. */
async function capture(context: TestContext, deeds: readonly Deed[], later: readonly Deed[] = []): Promise<Captured> {
  const { promise: gone, resolve: end } = promiseOf<string>()
  const { promise: ready, resolve: serve } = promiseOf<undefined>()
  const worker = captureWorker([...deeds, { say: { kind: 'serving' } }, 'wait for a call', ...later], {
    onMessage: () => {
      serve(undefined)
    },
    onExit: end,
  })
  context.after(() => {
    worker.kill()
  })
  await Promise.race([ready, gone])
  return { worker, gone }
}

function promiseOf<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let settle: ((value: T) => void) | undefined
  const promise = new Promise<T>((resolve) => (settle = resolve))
  return { promise, resolve: (value) => settle?.(value) }
}

function bytes(...numbers: readonly number[]): Deed {
  return { write: Buffer.from(numbers).toString('base64') }
}

/** Each ends the worker that does it, for the reason beside it. */
const BREACHES: readonly (readonly [string, readonly Deed[], RegExp])[] = [
  ['a frame of 4 GiB', [bytes(255, 255, 255, 255)], /4294967295 bytes, expected/],
  ['a frame of 2 GiB', [bytes(0, 0, 0, 128)], /2147483648 bytes, expected/],
  ['a frame one byte longer than may be', [bytes(1, 0, 64, 0)], /4194305 bytes, expected/],
  ['an empty frame', [bytes(0, 0, 0, 0)], /0 bytes, expected/],
  ['no JSON', [bytes(1, 0, 0, 0, 0x7b)], /expected JSON/],
  ['no UTF-8', [bytes(2, 0, 0, 0, 0xff, 0xfe)], /expected JSON/],
  ['deep brackets', deep(MIB), /expected a kind of message/],
  ['a message of Node.js itself', [{ say: { cmd: 'NODE_HANDLE', type: 'net.Socket' } }], /expected a kind of message/],
  ['an answer that nobody waits for', [{ say: { kind: 'answer', id: 1, value: null } }], /call 1, expected/],
  ['a refusal that nobody waits for', [{ say: refusal(7) }], /call 7, expected/],
  ['a part of what nobody waits for', [{ say: { kind: 'part', id: 1, items: [] } }], /call 1, expected/],
]

const VDI = {
  ...{ volume: null, name: 'x'.repeat(255), tag: '', snapshot_id: 0, snapshot: false, clone: false, vid: '1', size: 0 },
  ...{ used: 0, shared: 0, object_size: 0, copies: '1', hyper: false, created_at: new Date(0).toISOString() },
}

/** In pieces: an argument of a program is not long. */
function deep(depth: number): Deed[] {
  const piece = 2 ** 14
  const header = Buffer.alloc(4)
  header.writeUInt32LE(2 * depth)
  const brackets = ['[', ']'].map((one) => ({
    write: Buffer.from(one.repeat(piece)).toString('base64'),
    times: depth / piece,
  }))
  return [{ write: header.toString('base64') }, ...brackets]
}

function refusal(id: number): object {
  return { kind: 'refusal', id, error: { code: 'io', message: '' } }
}

describe('the channel of a captured worker', () => {
  test('is closed, and the worker killed, for what is no frame or no message', WITH_LIMIT, async (t) => {
    for (const [what, deeds, why] of BREACHES) {
      const how = await (await capture(t, deeds)).gone
      assert.match(how, /^SIGKILL, for a breach of the protocol: /, what)
      assert.match(how, why, what)
    }
  })

  test('takes no answer of the wrong kind, and no endless one', WITH_LIMIT, async (t) => {
    const page = Array.from({ length: 100 }, () => VDI)
    const answers: readonly (readonly [Deed, RegExp])[] = [
      [{ say: { kind: 'answer', id: 1, value: [{}] } }, /expected/],
      [{ say: { kind: 'part', id: 1, items: [null] } }, /expected an object/],
      [{ say: { kind: 'part', id: 1, items: page }, times: 1000 }, /expected at most 33554432/],
    ]
    for (const [answer, why] of answers) {
      const { worker, gone } = await capture(t, [], [answer])
      await assert.rejects(worker.call('vdis'), (error) => isSheepfsError(error, 'closed'))
      assert.match(await gone, why)
    }
  })

  test('ends a worker that reads nothing when too much waits for it', WITH_LIMIT, async (t) => {
    const { worker, gone } = await capture(t, ['read nothing more'])
    const before = process.memoryUsage()
    const text = 'x'.repeat(MIB)
    const calls: Promise<unknown>[] = []
    for (let sent = 0; sent < 80; sent++) {
      calls.push(worker.call('deleteVdi', text).catch((error: unknown) => error))
      await delay(1)
    }
    assert.match(await gone, /bytes sent are not read/)
    for (const error of await Promise.all(calls)) assert.ok(isSheepfsError(error, 'closed'))
    assert.ok(process.memoryUsage().arrayBuffers - before.arrayBuffers < 80 * MIB)
  })

  test('ends a worker that closes it and lives on', WITH_LIMIT, async (t) => {
    const { gone } = await capture(t, ['close the channel'])
    assert.equal(await gone, 'SIGKILL')
  })

  test('brings no question that is not answered again and again', WITH_LIMIT, async (t) => {
    const { worker } = await capture(t, [])
    let silences = 0
    const question = new WorkerQuestion('report', () => silences++)
    assert.deepEqual(
      await Promise.all(Array.from({ length: 100 }, () => question.ask(worker))),
      Array(100).fill(undefined),
    )
    assert.match(question.silence?.reason ?? '', /does not answer/)
    assert.equal(await question.ask(worker), undefined)
    assert.equal(silences, 1)
    worker.kill()
    await worker.gone
    await delay(1)
    assert.equal(question.silence, undefined)
  })
})
