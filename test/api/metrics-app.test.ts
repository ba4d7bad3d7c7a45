import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { checkTcp, listenTcp, parseTcpAddress } from '../../src/api/listen-tcp.ts'
import { buildMetricsApp } from '../../src/api/metrics-app.ts'
import { silentLogger } from '../../src/log.ts'
import { fakeMetrics } from './fake-metrics.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

const limit = { timeout: 30_000 }
const HOST = '127.0.0.1'

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function stage(t: TestContext, limits = {}) {
  const supervisor = new FakeSupervisor()
  supervisor.measured = [fakeMetrics({ volumes: 3 })]
  const address = { host: HOST, port: await freePort() }
  const build = () => buildMetricsApp({ supervisor, log: silentLogger(), version: '1.0.0', limits })
  const listening = await listenTcp(await build(), address)
  t.after(() => listening.close())
  return { address, build, listening, url: `http://${HOST}:${address.port}` }
}

test('Prometheus reads the metrics over TCP, and nobody anything else', limit, async (t) => {
  const { url } = await stage(t)
  const metrics = await fetch(`${url}/metrics`)
  assert.equal(metrics.status, 200)
  assert.match(metrics.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
  assert.match(await metrics.text(), /^sheepfs_volumes\{mount="cluster1"\} 3$/m)
  for (const path of ['/', '/v1/status', '/v1/mounts', '/v1/counters', '/v1/events', '/openapi.json', '/metrics/x'])
    assert.equal((await fetch(url + path)).status, 404, path)
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'])
    assert.equal((await fetch(`${url}/metrics`, { method })).status, 405, method)
  assert.equal((await fetch(`${url}/metrics?mount=x`)).status, 400)
})

test('connections that ask nothing make place for those that do', limit, async (t) => {
  const { url, address } = await stage(t, { connections: 2 })
  const idle = [connect(address), connect(address), connect(address)]
  t.after(() => {
    for (const socket of idle) socket.destroy()
  })
  await Promise.all(idle.map((socket) => once(socket, 'connect')))
  assert.equal((await fetch(`${url}/metrics`)).status, 200)
})

test('an address that another program has, or no program can have, is refused', limit, async (t) => {
  const { address, build, listening } = await stage(t)
  const busy = {
    code: 'busy',
    message: new RegExp(`^metrics_listen "${HOST}:${address.port}": another program listens`),
  }
  await assert.rejects(checkTcp(address), busy)
  await assert.rejects(listenTcp(await build(), address), busy)
  const foreign = { host: '203.0.113.7', port: 9717 }
  const invalid = { code: 'invalid', message: 'metrics_listen "203.0.113.7:9717": this host has no such address' }
  await assert.rejects(checkTcp(foreign), invalid)
  await assert.rejects(listenTcp(await build(), foreign), invalid)
  await listening.close()
  await checkTcp(address)
  await checkTcp(address)
})

test('an address is numeric and has a port', () => {
  assert.deepEqual(parseTcpAddress('127.0.0.1:9717'), { host: '127.0.0.1', port: 9717 })
  assert.deepEqual(parseTcpAddress('[::]:65535'), { host: '::', port: 65_535 })
  for (const text of ['', '9717', 'localhost:9717', '::1:9717', '[1.2.3.4]:1', '1.2.3.4:0', '1.2.3.4:65536', '[::1]'])
    assert.equal(parseTcpAddress(text), undefined, text)
})
