import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { ControlClient } from '../../src/api/client.ts'
import { buildControlApp, buildObserverApp, type AppOptions } from '../../src/api/control-app.ts'
import { listenUnix } from '../../src/api/listen-unix.ts'
import { CONTROL_LIMITS, limitsWithin, OBSERVER_LIMITS, type SocketLimits } from '../../src/api/socket-limits.ts'
import { silentLogger } from '../../src/log.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

const VDIS = 'GET /v1/mounts/cluster1/vdis HTTP/1.1\r\nHost: localhost\r\n\r\n'
const STATUS = 'GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n'

/** An instance whose cluster answers when the test says so. */
class SlowCluster extends FakeSupervisor {
  asked = 0
  #answer: () => void = () => undefined
  #answered = Promise.resolve()

  hold(): void {
    this.#answered = new Promise((resolve) => (this.#answer = resolve))
  }

  answer(): void {
    this.#answer()
  }

  override async vdis(mount: string) {
    this.asked++
    await this.#answered
    return super.vdis(mount)
  }
}

interface Served {
  readonly path: string
  readonly client: ControlClient
  readonly supervisor: SlowCluster
  /** A connection on which nothing was sent yet. */
  readonly open: () => Promise<Client>
}

async function serve(
  t: TestContext,
  limits: Partial<SocketLimits>,
  build: (options: AppOptions) => ReturnType<typeof buildControlApp> = buildControlApp,
): Promise<Served> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfs-clients-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 's')
  const supervisor = new SlowCluster()
  const app = await build({ supervisor, log: silentLogger(), version: '0', heartbeatMs: 60_000, limits })
  const listening = await listenUnix(app, { path, mode: 0o660 })
  t.after(() => listening.close())
  const open = async (): Promise<Client> => {
    const socket = connect(path)
    await once(socket, 'connect')
    t.after(() => socket.destroy())
    return new Client(socket)
  }
  return { path, client: new ControlClient(path), supervisor, open }
}

class Client {
  readonly socket: Socket
  readonly ended: Promise<string>
  text = ''

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.text += chunk.toString()
    })
    this.ended = new Promise((resolve) => {
      socket.once('close', () => {
        resolve(this.text)
      })
    })
  }

  async says(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.text)) await once(this.socket, 'data')
  }
}

describe('clients of a socket', { timeout: 60_000 }, () => {
  test('that say nothing lose their places to those who come later', async (t) => {
    const { open, client } = await serve(t, { connections: 4 })
    const silent = [await open(), await open(), await open(), await open()]
    for (const { ended } of silent) {
      await open()
      await ended // the first of them, and so on
    }
    for (let i = 0; i < 20; i++) assert.equal((await client.health()).status, 'ok')
  })

  test('that wait for an answer keep their places, and so does who is the first to say something', async (t) => {
    const { open, supervisor } = await serve(t, { connections: 3 })
    supervisor.hold()
    const [waiting, silent] = [await open(), await open()]
    waiting.socket.write(VDIS)
    while (supervisor.asked === 0) await new Promise((resolve) => setImmediate(resolve))
    for (let i = 0; i < 6; i++) await (await open()).says(/^$/)
    await silent.ended
    supervisor.answer()
    await waiting.says(/^HTTP\/1.1 200 /)
  })

  test('have a time for the head of a request, one for its body, and one for the next', async (t) => {
    const { open } = await serve(t, { headMs: 100, requestMs: 200, idleMs: 1 })
    const [silent, slow, never, kept] = [await open(), await open(), await open(), await open()]
    slow.socket.write('GET /v1/status HTTP/1.1\r\nHos')
    never.socket.write(
      'PATCH /v1/mounts/cluster1/cache HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{',
    )
    kept.socket.write(STATUS)
    assert.match(await kept.ended, /^HTTP\/1.1 200 /)
    for (const client of [silent, slow, never]) assert.match(await client.ended, /^HTTP\/1.1 408 /)
  })

  test('may wait for as long as the cluster takes, and no more than that to take the answer', async (t) => {
    const { open, supervisor } = await serve(t, { unreadMs: 50 })
    supervisor.hold()
    const client = await open()
    client.socket.write(VDIS)
    await new Promise((resolve) => setTimeout(resolve, 200))
    supervisor.answer()
    await client.says(/^HTTP\/1.1 200 /)
    client.socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await client.ended // nothing was sent to it for too long
  })

  test('are refused when too many wait for a cluster, but for what takes none', async (t) => {
    const { open, supervisor, client } = await serve(t, { waiting: 2 })
    supervisor.hold()
    for (const waiting of [await open(), await open()]) waiting.socket.write(VDIS)
    while (supervisor.asked < 2) await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(client.volumes('cluster1'), { code: 'busy', message: /2 requests about clusters/ })
    const refused = await open()
    refused.socket.write(VDIS)
    await refused.says(/^HTTP\/1.1 503 [^]*retry-after: 1\r\n[^]*problem\+json[^]*"code":"overloaded"/)
    assert.equal((await client.status()).instance, 'cluster1')
    supervisor.answer()
    assert.equal((await client.volumes('cluster1')).length, 0)
  })

  test('have so many event streams, and the next when one has ended', async (t) => {
    const { open, supervisor, client } = await serve(t, { streams: 2 })
    const readers = [await open(), await open()]
    for (const { socket } of readers) socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
    while (supervisor.listeners < 2) await new Promise((resolve) => setImmediate(resolve))
    await assert.rejects(client.events({}).next(), { code: 'busy', message: /2 event streams are under way/ })
    readers[0]?.socket.destroy()
    while (supervisor.listeners > 1) await new Promise((resolve) => setImmediate(resolve))
    const next = client.events({}).next()
    while (supervisor.listeners < 2) await new Promise((resolve) => setImmediate(resolve))
    supervisor.emit({ type: 'stopping' })
    assert.equal((await next).done, false)
  })

  test('that put many requests into a connection are dropped for the second, and not so soon that it costs much', async (t) => {
    const { open, supervisor } = await serve(t, {})
    supervisor.hold()
    const client = await open()
    const since = performance.now()
    client.socket.write(VDIS.repeat(3000))
    assert.equal(await client.ended, '')
    assert.ok(performance.now() - since > 900) // they would be back at once
    assert.equal(supervisor.asked, 0)
  })

  test('that ask one after the other on a connection are answered each time', async (t) => {
    const { open } = await serve(t, {})
    const client = await open()
    for (let i = 0; i < 50; i++) {
      client.text = ''
      client.socket.write(STATUS)
      await client.says(/^HTTP\/1.1 200 [^]*\r\n\r\n{.*}$/)
    }
  })

  test('can send a body of many pieces', async (t) => {
    const { client } = await serve(t, {})
    const long = `/mnt/${'x'.repeat(4000)}`
    assert.equal((await client.addMount({ name: 'two', mountpoint: long })).mountpoint, long)
  })
})

describe('observers', { timeout: 60_000 }, () => {
  test('are told what one of them was told, also a second later', async (t) => {
    const { client, supervisor } = await serve(t, {}, buildObserverApp)
    supervisor.hold()
    const all = Array.from({ length: 50 }, () => client.vdis('cluster1'))
    while (supervisor.asked === 0) await new Promise((resolve) => setImmediate(resolve))
    supervisor.answer()
    for (const vdis of await Promise.all(all)) assert.equal(vdis.length, 3)
    await client.vdis('cluster1')
    assert.ok(supervisor.asked <= 2, String(supervisor.asked)) // two only where this took more than a second
  })

  test('take turns when they ask too often, and who has gone takes none', async (t) => {
    const { client, open } = await serve(t, { requestsPerSecond: 20 }, buildObserverApp)
    const since = performance.now()
    for (let i = 0; i < 20; i++) await client.status()
    for (let i = 0; i < 50; i++) {
      const gone = await open()
      gone.socket.write(STATUS)
      gone.socket.destroySoon()
    }
    await Promise.all(Array.from({ length: 10 }, () => client.status()))
    assert.ok(performance.now() - since > 400)
  })
})

test('a socket takes no more than its share of the descriptors, and keeps places free for who comes', () => {
  for (const limits of [CONTROL_LIMITS, OBSERVER_LIMITS]) {
    assert.deepEqual(limitsWithin(limits, Infinity), limits)
    const { connections, waiting, streams } = limitsWithin(limits, 32)
    assert.equal(connections, 32)
    assert.ok(waiting + streams < connections)
    assert.ok(limits.streams + limits.waiting < limits.connections)
  }
})

test('the limits are those that the documentation tells', async () => {
  const text = await readFile(join(import.meta.dirname, '../../../docs/control-api.md'), 'utf8')
  const row = (name: string) => {
    const [, control = '', observer = ''] = new RegExp(`^\\| ${name} +\\| ([^|]*)\\| ([^|]*)\\|$`, 'm').exec(text) ?? []
    return [control.trim(), observer.trim()]
  }
  const both = (value: (limits: SocketLimits) => string) => [CONTROL_LIMITS, OBSERVER_LIMITS].map(value)
  const inSeconds = (ms: number) => `${ms / 1000} s`
  assert.deepEqual(
    row('connections'),
    both(({ connections }) => String(connections)),
  )
  assert.deepEqual(
    row('requests that may wait for a cluster'),
    both(({ waiting }) => String(waiting)),
  )
  assert.deepEqual(
    row('event streams'),
    both(({ streams }) => String(streams)),
  )
  assert.deepEqual(row('requests in a second'), ['', String(OBSERVER_LIMITS.requestsPerSecond)])
  const whole = both(({ headMs, requestMs }) => `${inSeconds(headMs)}, ${inSeconds(requestMs)}`)
  assert.deepEqual(row('for the head of a request, all of it'), whole)
  assert.deepEqual(
    row('for the next request on a connection'),
    both(({ idleMs }) => inSeconds(idleMs)),
  )
  assert.deepEqual(
    row('for a client to read more of its answer'),
    both(({ unreadMs }) => inSeconds(unreadMs)),
  )
})
