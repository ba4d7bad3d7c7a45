import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { WorkerClient } from '../../../src/daemon/supervisor/worker-client.ts'
import { WorkerPulse, type PulseLimits } from '../../../src/daemon/supervisor/worker-pulse.ts'
import type { WorkerStart } from '../../../src/daemon/worker-protocol.ts'
import { deferred } from '../../../src/fuse/kernel/deferred.ts'
import { silentLogger } from '../../../src/log.ts'
import { Stage } from '../../e2e/stage/stage.ts'

const LIMITS: PulseLimits = { intervalMs: 20, answerMs: 100, firstAnswerMs: 200, memory: 2 ** 40 }
const WITH_LIMIT = { timeout: 60_000 }

/** Why a worker is found stuck that has this process's memory and answers pings as `ping` does. */
async function whyStuck(
  context: TestContext,
  ping: () => Promise<void>,
  limits: Partial<PulseLimits>,
): Promise<string> {
  const worker = { pid: process.pid, call: ping } as unknown as WorkerClient
  const held = setInterval(() => undefined, 1000) // a pulse keeps no process alive
  return new Promise((resolve) => {
    const pulse = new WorkerPulse(
      (stuck, why) => {
        assert.equal(stuck, worker)
        resolve(why)
      },
      { ...LIMITS, ...limits },
    )
    context.after(() => {
      clearInterval(held)
      pulse.stop()
    })
    pulse.start(worker)
  })
}

test('a worker that has never answered is stuck after a longer time than one that has', WITH_LIMIT, async (context) => {
  const never = (): Promise<void> => new Promise(() => undefined)
  assert.equal(await whyStuck(context, never, {}), 'it has not answered for 0.2 s')
  let answers = 1
  const once = (): Promise<void> => (answers-- > 0 ? Promise.resolve() : never())
  assert.equal(await whyStuck(context, once, {}), 'it has not answered for 0.1 s')
})

test('a worker that takes more memory than any needs is stuck, whatever it answers', WITH_LIMIT, async (context) => {
  const why = await whyStuck(context, () => Promise.resolve(), { memory: 2 ** 20 })
  assert.match(why, /^it has taken \d+ bytes of memory, expected at most 1048576$/)
})

test('a worker answers pings while it waits for a cluster that says nothing', WITH_LIMIT, async (context) => {
  const stage = new Stage()
  context.after(() => stage.close())
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const start: WorkerStart = {
    ...{ kind: 'start', purpose: 'serve', handles: [], generation: 2, isKept: false },
    spec: {
      ...{ mount: 'm', engine: 'kernel', mountpoint: '/', allowOther: false, writeBack: false, uid: 0, gid: 0 },
      ...{ volumeMode: 0o600, networks: [], logLevel: 'silent', account: undefined },
    },
    state: {
      ...{ negotiated: undefined, volumes: [], nextNodeId: 1000, pageCache: false, objectCache: false },
      ...{ addresses: [{ host: '127.0.0.1', port }], ioTimeoutMs: Infinity, gateways: [], locks: [] },
    },
  }
  const { promise: gone, resolve } = deferred<string>()
  const record = await open(join(await stage.folder(), 'record'), 'w+')
  const worker = new WorkerClient(start, {
    fds: { device: undefined, record: record.fd },
    log: silentLogger(),
    watcher: { onMessage: () => undefined, onExit: resolve },
  })
  context.after(() => {
    server.close()
    worker.kill()
    return record.close()
  })
  const [socket] = (await once(server, 'connection')) as [{ destroy(): void }]
  await worker.call('ping')
  await worker.call('ping')
  worker.blame('because it has not answered for 10 s')
  worker.kill()
  assert.equal(await gone, 'SIGKILL, because it has not answered for 10 s')
  socket.destroy()
})
