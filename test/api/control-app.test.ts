import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Check } from 'typebox/value'
import { buildControlApp, buildObserverApp } from '../../src/api/control-app.ts'
import { healthOf } from '../../src/api/health.ts'
import { HTTP_STATUS } from '../../src/api/problem.ts'
import { Problem } from '../../src/api/schema/problem.ts'
import { SheepfsError, type ErrorCode } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { FakeSupervisor, fakeMount, fakeVdi } from './fake-supervisor.ts'

const log = silentLogger()

async function control(supervisor = new FakeSupervisor()) {
  const app = await buildControlApp({ supervisor, log, version: '0' })
  const ask = async (method: 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE', url: string, payload?: object | string) => {
    const answer = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) })
    return { answer, status: answer.statusCode, body: answer.body === '' ? undefined : answer.json<unknown>() }
  }
  const problem = async (...request: Parameters<typeof ask>) => {
    const { answer, body } = await ask(...request)
    assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
    assert.ok(Check(Problem, body), answer.body)
    assert.equal(body.status, answer.statusCode)
    return { ...body, headers: answer.headers }
  }
  return { app, supervisor, ask, problem }
}

test('a volume is attached with 201, with 200 when it was, and detached with 204', async () => {
  const { ask } = await control()
  const url = '/v1/mounts/cluster1/volumes/web01'
  assert.equal((await ask('PUT', url)).status, 201)
  assert.equal((await ask('PUT', url)).status, 200)
  assert.equal((await ask('GET', url)).status, 200)
  assert.equal((await ask('DELETE', url)).status, 204)
  assert.equal((await ask('GET', url)).status, 404)
  assert.equal((await ask('DELETE', url)).status, 404)
})

test('an open volume is detached with force only', async () => {
  const { ask, problem, supervisor } = await control()
  const url = '/v1/mounts/cluster1/volumes/web01'
  await ask('PUT', url, { read_only: true })
  supervisor.openVolumes.add('cluster1/web01')
  const { code, status } = await problem('DELETE', url)
  assert.deepEqual({ code, status }, { code: 'busy', status: 409 })
  assert.equal((await problem('DELETE', '/v1/mounts/cluster1')).code, 'busy')
  assert.equal((await ask('DELETE', `${url}?force=true`)).status, 204)
})

test('the name of a volume is percent-encoded in the path, also when it has percent signs itself', async () => {
  const { ask, supervisor } = await control()
  const name = `a%2Fb ä${'x'.repeat(230)}`
  supervisor.vdiTable.set(name, fakeVdi({ name }))
  const { status, body } = await ask('PUT', `/v1/mounts/cluster1/volumes/${encodeURIComponent(name)}`)
  assert.equal(status, 201)
  assert.equal((body as { name: string }).name, name)
})

test('caches, sheep and io_timeout are changed one by one', async () => {
  const { ask } = await control()
  const cache = await ask('PATCH', '/v1/mounts/cluster1/cache', { page_cache: true })
  assert.deepEqual(cache.body, { page_cache: true, object_cache: false, write_back: false, open_files_in_old_mode: 0 })
  const sheep = await ask('PUT', '/v1/mounts/cluster1/sheep', { addresses: ['h:7001'] })
  assert.deepEqual(sheep.body, { addresses: ['h:7001'], gateway: 'h:7001' })
  const patched = await ask('PATCH', '/v1/mounts/cluster1', { io_timeout: 30 })
  assert.equal((patched.body as { io_timeout: unknown }).io_timeout, 30)
})

test('a mount is made with 201 and a Location, and a name that is taken gives 409', async () => {
  const { ask, problem } = await control()
  const made = await ask('POST', '/v1/mounts', { name: 'two', mountpoint: '/mnt/two' })
  assert.equal(made.status, 201)
  assert.equal(made.answer.headers.location, '/v1/mounts/two')
  assert.equal((await problem('POST', '/v1/mounts', { name: 'two', mountpoint: '/mnt/two' })).status, 409)
  assert.equal((await ask('DELETE', '/v1/mounts/two')).status, 204)
  assert.equal((await problem('GET', '/v1/mounts/two')).code, 'not-found')
})

test('every error code has its HTTP status, and the words of the error', async () => {
  const { problem, supervisor } = await control()
  for (const [code, status] of Object.entries(HTTP_STATUS)) {
    supervisor.failure = new SheepfsError(code as ErrorCode, `what went wrong: ${code}`)
    const answer = await problem('GET', '/v1/mounts/cluster1')
    assert.deepEqual([answer.code, answer.status, answer.detail], [code, status, `what went wrong: ${code}`])
  }
})

test('a defect is a 500 that tells the client nothing of the inside', async () => {
  const { problem, supervisor } = await control()
  supervisor.failure = new TypeError('x is not a function')
  const { status, code, detail } = await problem('GET', '/v1/mounts/cluster1')
  assert.deepEqual([status, code], [500, 'internal'])
  assert.doesNotMatch(detail, /function/)
})

test('requests that HTTP or a schema refuses are problems that say what is expected', async (t) => {
  const { problem, app } = await control()
  const cache = '/v1/mounts/cluster1/cache'
  const cases = [
    [await problem('GET', '/v1/nothing'), 404, 'no-such-route', /openapi/],
    [await problem('PUT', '/v1/mounts'), 405, 'method-not-allowed', /GET or POST/],
    [await problem('PATCH', cache, '{'), 415, 'media-type', /application\/json/],
    [await problem('PATCH', cache, {}), 400, 'invalid', /page_cache, object_cache or both/],
    [await problem('PATCH', cache), 400, 'invalid', /found null|found nothing/],
    [
      await problem('PATCH', cache, { page_cache: 'yes' }),
      400,
      'invalid',
      /page_cache: found "yes", expected true or false/,
    ],
    [
      await problem('PATCH', cache, { pagecache: true }),
      400,
      'invalid',
      /pagecache: unknown key, did you mean page_cache/,
    ],
    [await problem('DELETE', '/v1/mounts/cluster1?force=maybe'), 400, 'invalid', /^force: found "maybe"/],
    [await problem('DELETE', '/v1/mounts/cluster1?forced=1'), 400, 'invalid', /did you mean force/],
    [await problem('GET', '/v1/events?mount=nope'), 404, 'not-found', /no mount "nope"/],
    [await problem('GET', '/v1/events?mont=cluster1'), 400, 'invalid', /^mont: unknown key, did you mean mount\?/],
    [await problem('GET', '/v1/status?verbose=1'), 400, 'invalid', /^verbose: unknown key, expected none/],
    [await problem('GET', '/metrics?mount=cluster1'), 400, 'invalid', /^mount: unknown key, expected none/],
    [await problem('POST', '/v1/reload?dryrun=true'), 400, 'invalid', /did you mean dry_run\?/],
    [await problem('POST', '/v1/mounts/cluster1/vdis', { name: 'x', size: 1000 }), 400, 'invalid', /a multiple of 512/],
    [await problem('PUT', '/v1/mounts/cluster1/sheep', { addresses: [] }), 400, 'invalid', /addresses: found \[\]/],
    [
      await problem('POST', '/v1/mounts', { name: 'x' }),
      400,
      'invalid',
      /mountpoint: missing, expected an absolute path/,
    ],
    [await problem('POST', '/v1/mounts/cluster1/vdis', { name: 'x', size: -1 }), 400, 'invalid', /^size: found -1/],
    [await problem('POST', '/v1/mounts/cluster1/vdis', { name: 'x', size: '4G' }), 400, 'invalid', /^size: found "4G"/],
  ] as const
  for (const [answer, status, code, detail] of cases) {
    await t.test(`${code}: ${answer.detail}`, () => {
      assert.deepEqual([answer.status, answer.code], [status, code])
      assert.match(answer.detail, detail)
    })
  }
  assert.equal(cases[1][0].headers.allow, 'GET, HEAD, POST')
  const headers = { 'content-type': 'application/json' }
  const broken = await app.inject({ method: 'PATCH', url: cache, headers, payload: '{"page_cache":' })
  assert.equal(broken.statusCode, 400)
  const empty = await app.inject({ method: 'PATCH', url: cache, headers })
  assert.equal(empty.statusCode, 400)
  const long = await app.inject({ method: 'PATCH', url: cache, headers, payload: `"${'x'.repeat(300_000)}"` })
  assert.equal(long.statusCode, 413)
})

test('what is far from any request is refused like what is near to one', async () => {
  const { app, problem } = await control()
  const cache = '/v1/mounts/cluster1/cache'
  const many = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`k${i}`, 1]))
  assert.match(
    (await problem('PATCH', cache, { ...many, page_cache: true })).detail,
    /^k0: unknown key, expected one of/,
  )
  const long = await problem('PATCH', cache, { ['x'.repeat(200_000)]: 1 })
  assert.match(long.detail, /^x{80}…: unknown key, expected one of page_cache, object_cache$/)
  const nested = '['.repeat(100_000) + ']'.repeat(100_000)
  for (const payload of [nested, `{"page_cache":${nested}}`, `{"a":`.repeat(40_000) + '1' + '}'.repeat(40_000)]) {
    const answer = await app.inject({
      ...{ method: 'PATCH', url: cache, payload },
      headers: { 'content-type': 'application/json' },
    })
    assert.equal(answer.statusCode, 400)
    assert.match(answer.json<Problem>().detail, /^body: more than 16 levels deep$/)
  }
  assert.ok((await problem('GET', `/${'%20'.repeat(5000)}`)).detail.length < 9000)
})

test('who asks with another method is told which there are', async () => {
  const { problem, ask } = await control()
  for (const [url, allow] of [
    ['/v1/status', 'GET, HEAD'],
    ['/v1/events', 'GET'],
    ['/v1/reload', 'POST'],
    ['/v1/mounts/cluster1/volumes/a', 'GET, HEAD, PUT, DELETE'],
  ] as const) {
    const { status, headers } = await problem('PATCH', url)
    assert.deepEqual([status, headers.allow], [405, allow])
  }
  assert.equal((await ask('GET', '/v1/status')).status, 200)
})

test('the observer sees everything and changes nothing', async () => {
  const app = await buildObserverApp({ supervisor: new FakeSupervisor(), log, version: '0' })
  for (const url of [
    '/v1/status',
    '/v1/health',
    '/metrics',
    '/v1/mounts',
    '/v1/mounts/cluster1/vdis',
    '/openapi.json',
  ]) {
    assert.equal((await app.inject(url)).statusCode, 200, url)
  }
  for (const method of ['PUT', 'DELETE'] as const) {
    const answer = await app.inject({ method, url: '/v1/mounts/cluster1/volumes/web01' })
    assert.equal(answer.statusCode, 405)
  }
  assert.equal((await app.inject({ method: 'POST', url: '/v1/mounts/cluster1/restart' })).statusCode, 404)
})

test('health is 200 while mounts serve or wait, and 503 until all have served or when one cannot be', async () => {
  for (const [state, status, code] of [
    ['serving', 'ok', 200],
    ['waiting', 'degraded', 200],
    ['restarting', 'degraded', 200],
    ['starting', 'starting', 503],
    ['failed', 'failed', 503],
  ] as const) {
    const supervisor = new FakeSupervisor()
    Object.assign(await supervisor.mount('cluster1'), { state, reason: 'no sheep answers' })
    const { ask } = await control(supervisor)
    const answer = await ask('GET', '/v1/health')
    assert.equal(answer.status, code)
    const mounts = [{ name: 'cluster1', state, reason: 'no sheep answers' }]
    assert.deepEqual(answer.body, { status, mounts, dead_file_systems: [] })
  }
})

test('an instance that starts has no health yet, and a mount that is added takes none away', () => {
  const starting = fakeMount({ state: 'starting' })
  assert.equal(healthOf({ state: 'starting', mounts: [] }).status, 'starting')
  assert.equal(healthOf({ state: 'starting', mounts: [fakeMount()] }).status, 'starting')
  assert.equal(healthOf({ state: 'running', mounts: [fakeMount(), starting] }).status, 'starting')
  assert.equal(healthOf({ state: 'running', mounts: [{ ...starting, configured: false }] }).status, 'degraded')
  assert.equal(healthOf({ state: 'starting', mounts: [starting, fakeMount({ state: 'failed' })] }).status, 'failed')
})

test('an instance whose mounts serve has failed while a file system on a volume is dead', () => {
  const dead = [{ mountpoint: '/srv/web', device: '/dev/loop0', volume: 'web01' }]
  const health = healthOf({ state: 'running', mounts: [fakeMount()], dead_file_systems: dead })
  assert.deepEqual([health.status, health.dead_file_systems], ['failed', dead])
})

test('VDIs are created, resized, snapshot, cloned and deleted', async () => {
  const { ask, problem } = await control()
  const url = '/v1/mounts/cluster1/vdis'
  assert.equal((await ask('POST', url, { name: 'new', size: 2 ** 30 })).status, 201)
  assert.equal((await problem('POST', url, { name: 'new', size: 2 ** 30 })).status, 409)
  assert.equal((await ask('POST', `${url}/new/resize`, { size: 2 ** 31 })).status, 200)
  assert.equal((await problem('POST', `${url}/new/resize`, { size: 512 })).status, 403)
  assert.equal((await ask('POST', `${url}/new/snapshots`, { tag: 'a' })).status, 201)
  assert.equal((await problem('POST', `${url}/new/clone`, { name: 'copy' })).status, 400)
  assert.equal((await ask('POST', `${url}/new@a/clone`, { name: 'copy' })).status, 201)
  assert.equal((await ask('DELETE', `${url}/new@a`)).status, 204)
  assert.equal((await problem('DELETE', `${url}/new@a`)).status, 404)
})

test('the OpenAPI page lists every route with its schemas', async () => {
  const { ask } = await control()
  const page = (await ask('GET', '/openapi.json')).body as { openapi: string; paths: Record<string, object> }
  assert.equal(page.openapi, '3.1.0')
  const operations = Object.entries(page.paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, { summary?: string }>).map(([method, { summary }]) => ({
      route: `${method} ${path}`,
      summary,
    })),
  )
  assert.deepEqual(
    operations.filter(({ summary }) => summary === undefined),
    [],
  )
  const routes = operations.map(({ route }) => route)
  assert.ok(routes.includes('put /v1/mounts/{mount}/volumes/{volume}'))
  assert.ok(routes.includes('get /v1/events'))
  assert.ok(!routes.some((route) => route.startsWith('head')))
})
