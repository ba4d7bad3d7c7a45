import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, lstat, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ControlClient } from '../../src/api/client.ts'
import { buildControlApp } from '../../src/api/control-app.ts'
import { listenUnix, type Listening } from '../../src/api/listen-unix.ts'
import { SheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'sheepfs-api-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

async function serve(
  t: TestContext,
  options: { path: string; group?: string; supervisor?: FakeSupervisor; heartbeatMs?: number },
): Promise<Listening> {
  const { path, group, supervisor = new FakeSupervisor(), heartbeatMs = 20 } = options
  const app = await buildControlApp({ supervisor, log: silentLogger(), version: '0', heartbeatMs })
  const listening = await listenUnix(app, { path, mode: 0o660, group })
  t.after(() => listening.close())
  return listening
}

test('the socket has its mode and group, and is gone after close', async (t) => {
  const directory = await folder(t)
  const path = join(directory, 'control.sock')
  const gid = process.getgid?.() ?? 0
  const listening = await serve(t, { path, group: String(gid) })
  const { mode, gid: found } = await lstat(path)
  assert.deepEqual([mode & 0o777, found], [0o660, gid])
  assert.deepEqual(await readdir(directory), ['control.sock'])
  assert.equal((await new ControlClient(path).status()).instance, 'cluster1')
  await listening.close()
  assert.deepEqual(await readdir(directory), [])
  await listening.close()
})

test('the leftover of a dead daemon is replaced, a live daemon is not', async (t) => {
  const path = join(await folder(t), 'control.sock')
  const { ino } = await leftover(path)
  await serve(t, { path })
  assert.notEqual((await stat(path)).ino, ino)
  await assert.rejects(serve(t, { path }), (error: unknown) => error instanceof SheepfsError && error.code === 'busy')
  assert.equal((await new ControlClient(path).health()).status, 'ok')
})

/** A socket that nobody listens on any more: what is bound elsewhere and put here stays when its server ends. */
async function leftover(path: string) {
  const { link } = await import('node:fs/promises')
  const server = createServer().listen(`${path}.first`)
  await once(server, 'listening')
  await link(`${path}.first`, path)
  server.close()
  await once(server, 'close')
  return stat(path)
}

test('a socket is not opened in a directory that everybody may write in, nor over a file', async (t) => {
  const directory = await folder(t)
  const path = join(directory, 'control.sock')
  await chmod(directory, 0o777)
  await assert.rejects(serve(t, { path }), /everybody may write in its directory.*chmod o-w/)
  await chmod(directory, 0o700)
  await writeFile(path, '')
  await assert.rejects(serve(t, { path }), /is there and not a socket/)
  await rm(path)
  await assert.rejects(serve(t, { path, group: 'no-such-group' }), /"no-such-group" does not exist.*groupadd/)
  await assert.rejects(serve(t, { path: join(directory, 'absent', 's') }), /its directory cannot be used/)
  await assert.rejects(serve(t, { path: join(directory, 'x'.repeat(120)) }), /more than 107 bytes/)
  assert.deepEqual(await readdir(directory), [])
})

test('the client advises when nobody listens', async (t) => {
  const path = join(await folder(t), 'control.sock')
  const client = new ControlClient(path)
  const isAdvice = (error: unknown) =>
    error instanceof SheepfsError && error.code === 'not-running' && error.message.includes('is it running?')
  await assert.rejects(client.status(), isAdvice)
  await leftover(path)
  await assert.rejects(client.mounts(), isAdvice)
})

test('errors of the daemon arrive with their code and words', async (t) => {
  const path = join(await folder(t), 'control.sock')
  await serve(t, { path })
  const client = new ControlClient(path)
  await assert.rejects(client.mount('nope'), (error: unknown) => {
    assert.ok(error instanceof SheepfsError)
    assert.deepEqual([error.code, error.message], ['not-found', 'no mount "nope": expected cluster1'])
    return true
  })
  assert.deepEqual((await client.attach('cluster1', 'web01', {})).isNew, true)
  assert.deepEqual((await client.attach('cluster1', 'web01', {})).isNew, false)
})

/** Answers the third connection; those before are closed when a request has come, which nobody has read. */
async function crowd(t: TestContext): Promise<{ readonly path: string; readonly count: () => number }> {
  const path = join(await folder(t), 'control.sock')
  let count = 0
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on('error', () => undefined)
    if (++count > 2) socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n')
    else setTimeout(() => socket.destroy(), 50)
  })
  await once(server.listen(path), 'listening')
  t.after(() => server.close())
  return { path, count: () => count }
}

test('who had to make room in a crowd looks again, and does nothing twice', { timeout: 20_000 }, async (t) => {
  const looked = await crowd(t)
  await assert.rejects(new ControlClient(looked.path).status(), { message: /the daemon is ending/ })
  assert.equal(looked.count(), 3)
  const changed = await crowd(t)
  await assert.rejects(new ControlClient(changed.path).reload(), { code: 'closed', message: /did not answer/ })
  assert.equal(changed.count(), 1)
})

test('events reach every reader, with signs of life, and end with the daemon', { timeout: 20_000 }, async (t) => {
  const path = join(await folder(t), 'control.sock')
  const supervisor = new FakeSupervisor()
  const listening = await serve(t, { path, supervisor, heartbeatMs: 1 })
  const client = new ControlClient(path)
  const seen = async (mount?: string) => {
    const types: string[] = []
    for await (const event of client.events({ mount })) types.push(`${event.type} ${event.mount ?? ''}`)
    return types
  }
  const all = seen()
  const one = seen('cluster1')
  while (supervisor.listeners < 2) await new Promise((resolve) => setImmediate(resolve))
  supervisor.emit({ type: 'mount-added', mount: 'two' })
  supervisor.emit({ type: 'volume-attached', mount: 'cluster1', volume: 'web01' })
  supervisor.emit({ type: 'stopping' })
  await listening.close()
  assert.deepEqual(await all, ['mount-added two', 'volume-attached cluster1', 'stopping '])
  assert.deepEqual(await one, ['volume-attached cluster1', 'stopping '])
  assert.equal(supervisor.listeners, 0)
})

test('a reader of events that goes away is forgotten', { timeout: 20_000 }, async (t) => {
  const path = join(await folder(t), 'control.sock')
  const supervisor = new FakeSupervisor()
  await serve(t, { path, supervisor })
  const goes = new AbortController()
  const reader = new ControlClient(path).events({ signal: goes.signal })
  const first = reader.next()
  while (supervisor.listeners === 0) await new Promise((resolve) => setImmediate(resolve))
  supervisor.emit({ type: 'stopping' })
  assert.equal((await first).done, false)
  goes.abort()
  while (supervisor.listeners > 0) await new Promise((resolve) => setTimeout(resolve, 1))
})

/** A client that asks for events and reads nothing of the answer after its first bytes. */
async function lazyReader(path: string): Promise<Socket> {
  const socket = connect(path)
  socket.write('GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(socket, 'data')
  socket.pause()
  socket.on('error', () => undefined)
  return socket
}

test('a reader of events that never reads is cut off, and the others are served', { timeout: 20_000 }, async (t) => {
  const path = join(await folder(t), 's')
  const supervisor = new FakeSupervisor()
  await serve(t, { path, supervisor, heartbeatMs: 60_000 })
  const socket = await lazyReader(path)
  const reason = 'x'.repeat(64 * 1024)
  while (supervisor.listeners > 0) {
    supervisor.emit({ type: 'reload-failed', reason })
    await new Promise((resolve) => setImmediate(resolve))
  }
  const closed = once(socket, 'close')
  socket.resume()
  await closed
  assert.equal((await new ControlClient(path).health()).status, 'ok')
})

test('a reader that never reads does not hold up the end', { timeout: 20_000 }, async (t) => {
  const path = join(await folder(t), 's')
  const supervisor = new FakeSupervisor()
  const listening = await serve(t, { path, supervisor, heartbeatMs: 60_000 })
  const socket = await lazyReader(path)
  for (let i = 0; i < 12; i++) supervisor.emit({ type: 'reload-failed', reason: 'x'.repeat(64 * 1024) })
  await listening.close()
  socket.destroy()
})

test('a request that meets the end of a daemon says so', async (t) => {
  const path = join(await folder(t), 'control.sock')
  const ending = createServer((socket) => {
    socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 32\r\n\r\n{"error":"Service Unavailable"}\r\n')
  }).listen(path)
  t.after(() => ending.close())
  await assert.rejects(new ControlClient(path).status(), { code: 'closed', message: /the daemon is ending/ })
})
