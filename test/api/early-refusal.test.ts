import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test, type TestContext } from 'node:test'
import { Check } from 'typebox/value'
import type { App } from '../../src/api/app.ts'
import { buildControlApp } from '../../src/api/control-app.ts'
import { listenUnix, type Listening } from '../../src/api/listen-unix.ts'
import { Problem } from '../../src/api/schema/problem.ts'
import { silentLogger } from '../../src/log.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

async function serve(t: TestContext): Promise<{ path: string; app: App; listening: Listening }> {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfs-early-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 's')
  const app = await buildControlApp({ supervisor: new FakeSupervisor(), log: silentLogger(), version: '0' })
  const listening = await listenUnix(app, { path, mode: 0o660 })
  t.after(() => listening.close())
  return { path, app, listening }
}

/** All that comes back for some bytes, until the other side ends or has answered. */
function send(path: string, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path)
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.endsWith('}')) socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.once('close', () => {
      resolve(text)
    })
    socket.write(bytes, 'latin1')
  })
}

const CACHE = 'PATCH /v1/mounts/cluster1/cache HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
const LONG = 'x'.repeat(30_000)

const REFUSED: readonly (readonly [bytes: string, status: number, code: string, detail: RegExp])[] = [
  ['GET /v1/mounts/%zz HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid', /path cannot be decoded/],
  ['GET /v1/mounts/%ff HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid', /path cannot be decoded/],
  [`GET /v1/mounts/${'x'.repeat(2000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 400, 'name-too-long', /more than 1024 char/],
  [`GET /v1/mounts/${LONG} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'head-too-large', /16 KiB/],
  [`GET /v1/status HTTP/1.1\r\nHost: x\r\nA: ${LONG}\r\n\r\n`, 431, 'head-too-large', /16 KiB/],
  ['FOO /v1/status HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid', /not a request of HTTP\/1.1: Invalid method/],
  ['PROPFIND /v1/status HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed', /PROPFIND.*expected GET/],
  ['CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n', 405, 'method-not-allowed', /CONNECT/],
  ['OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 404, 'no-such-route', /there is no \*/],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid', /not a request of HTTP\/1.1/],
  ['GET / HTTP/3.7\r\nHost: x\r\n\r\n', 400, 'invalid', /Invalid HTTP version/],
  ['GET v1/status HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid', /not a request of HTTP\/1.1/],
  ['\x00\x01\x02\r\n\r\n', 400, 'invalid', /not a request of HTTP\/1.1/],
  ['\x16\x03\x01\x02\x00\x01\x00\x01', 400, 'invalid', /not a request of HTTP\/1.1/],
  ['GET /v1/status HTTP/1.1\r\n\r\n', 400, 'invalid', /no Host header/],
  ['GET /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', 400, 'invalid', /Duplicate/],
  [`${CACHE}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400, 'invalid', /chunk size/],
  [`${CACHE}Expect: tea\r\nContent-Length: 0\r\n\r\n`, 417, 'expectation-failed', /found "tea"/],
  [`${CACHE}Content-Length: 9999999\r\n\r\n`, 413, 'body-too-large', /too large/],
  [`${CACHE}Content-Length: 16\r\n\r\n{"__proto__":{}}`, 400, 'invalid', /JSON/],
]

describe('what is no request for any route', { timeout: 60_000 }, () => {
  test('is answered with a problem like everything else, and the next is served', async (t) => {
    const { path } = await serve(t)
    for (const [bytes, status, code, detail] of REFUSED) {
      const answer = await send(path, bytes)
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      assert.match(head, new RegExp(`^HTTP/1.1 ${status} [^]*content-type: application/problem\\+json`, 'i'), bytes)
      const problem: unknown = JSON.parse(body)
      assert.ok(Check(Problem, problem), body)
      assert.deepEqual([problem.status, problem.code], [status, code], bytes)
      assert.match(problem.detail, detail)
    }
    assert.match(await send(path, 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1.1 200 /)
  })

  test('does not mix with the answer to the request before it', async (t) => {
    const { path } = await serve(t)
    const answer = await send(path, 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\nFOO BAR\r\n\r\n')
    assert.doesNotMatch(answer, /HTTP\/1.1 [^]*HTTP\/1.1 /)
  })
})

test('HEAD of an event stream, which nobody would read, is not possible', async (t) => {
  const { path } = await serve(t)
  assert.match(await send(path, 'HEAD /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 405 /)
})

test('who asks while the daemon ends is told so in a problem', { timeout: 20_000 }, async (t) => {
  const { path, app, listening } = await serve(t)
  const socket = connect(path)
  await once(socket, 'connect')
  socket.write('GET /v1/status HTTP/1.1\r\nHost: x\r\n')
  const answer = once(socket, 'data')
  await new Promise((resolve) => setTimeout(resolve, 50)) // a connection that has said nothing would be closed
  const closed = listening.close()
  while (app.server.listening) await new Promise((resolve) => setImmediate(resolve))
  socket.write('\r\n')
  const [chunk] = (await answer) as [Buffer]
  assert.match(chunk.toString(), /^HTTP\/1.1 503 [^]*problem\+json[^]*"code":"closed"/)
  await closed
})
