import { Validator } from '@seriousme/openapi-schema-validator'
import { createConfig, lintFromString } from '@redocly/openapi-core'
import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import openapiTS, { astToString } from 'openapi-typescript'
import { buildControlApp, buildObserverApp } from '../../src/api/control-app.ts'
import { silentLogger } from '../../src/log.ts'
import { run } from '../e2e/stage/program.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

const limit = { timeout: 120_000 }
const options = { supervisor: new FakeSupervisor(), log: silentLogger(), version: '0' }

interface Operation {
  readonly operationId?: string
  readonly requestBody?: { readonly required: boolean }
  readonly responses: Readonly<Record<string, unknown>>
}

interface Page {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

async function pageText(): Promise<string> {
  const app = await buildControlApp(options)
  return (await app.inject('/openapi.json')).body
}

test('two validators find nothing wrong with the OpenAPI pages', limit, async () => {
  for (const build of [buildControlApp, buildObserverApp]) {
    const text = (await (await build(options)).inject('/openapi.json')).body
    const { valid, errors } = await new Validator().validate(JSON.parse(text) as Record<string, unknown>)
    assert.ok(valid, JSON.stringify(errors))
    const config = await createConfig({ extends: ['spec'] })
    const problems = await lintFromString({ source: text, absoluteRef: 'openapi.json', config })
    assert.deepEqual(
      problems.map(({ message }) => message),
      [],
    )
  }
})

test('operations have ids, answers have names, and only what may be left out is optional', limit, async () => {
  const { paths, components } = JSON.parse(await pageText()) as Page
  const operations = Object.values(paths).flatMap((path) => Object.values(path))
  const ids = operations.map(({ operationId }) => operationId)
  assert.equal(new Set(ids).size, operations.length)
  assert.ok(!ids.includes(undefined))
  const optional = operations.filter(({ requestBody }) => requestBody?.required === false)
  assert.deepEqual(
    optional.map(({ operationId }) => operationId),
    ['attach', 'mapVolume'],
  )
  const used = Array.from(
    JSON.stringify({ paths, components }).matchAll(/#\/components\/schemas\/(\w+)/g),
    ([, name]) => name,
  )
  const unused = Object.keys(components.schemas).filter((name) => !used.includes(name))
  assert.deepEqual(unused, ['Event']) // the data of a stream, which OpenAPI 3.1 cannot say
  // schemas stand on the page once
  assert.doesNotMatch(JSON.stringify(paths), /"properties"/)
})

const CLIENT = `
import createClient from 'openapi-fetch'
import type { components, paths } from './schema.ts'

const client = createClient<paths>({ baseUrl: process.argv[2] ?? '' })
const { data: status } = await client.GET('/v1/status')
const mounts: components['schemas']['Mount'][] = status?.mounts ?? []
const path = { mount: mounts[0]?.name ?? '', volume: 'web01' }
const attached = await client.PUT('/v1/mounts/{mount}/volumes/{volume}', { params: { path } })
const wrong = await client.POST('/v1/mounts/{mount}/vdis', { params: { path }, body: { name: 'x', size: 1 } })
const gone = await client.DELETE('/v1/mounts/{mount}/volumes/{volume}', { params: { path } })
console.log(attached.data?.path, wrong.error?.code, gone.response.status)
`

test('a client that is generated from the page compiles and works', limit, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'openapi-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await writeFile(join(directory, 'schema.ts'), astToString(await openapiTS(await pageText())))
  await writeFile(join(directory, 'client.ts'), CLIENT)
  await writeFile(join(directory, 'package.json'), '{"type":"module"}')
  await symlink(resolve('node_modules'), join(directory, 'node_modules'))
  const flags = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--allowImportingTsExtensions']
  const rewrite = ['--rewriteRelativeImportExtensions', '--types', 'node', '--skipLibCheck', 'client.ts']
  const compiler = [resolve('node_modules/typescript/bin/tsc'), ...flags, ...rewrite]
  const compiled = await run(process.execPath, compiler, { cwd: directory })
  assert.equal(compiled.status, 0, compiled.stdout)
  const app = await buildControlApp(options)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const { stdout, stderr } = await run(process.execPath, [join(directory, 'client.js'), `http://127.0.0.1:${port}`])
  assert.equal(stdout, '/srv/sheep/cluster1/volume/web01 invalid 204\n', stderr)
})
