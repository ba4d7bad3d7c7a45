import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { buildControlApp } from '../../src/api/control-app.ts'
import { listenUnix } from '../../src/api/listen-unix.ts'
import { HTTP_STATUS } from '../../src/api/problem.ts'
import { silentLogger } from '../../src/log.ts'
import { missing } from '../e2e/stage/ability.ts'
import { FakeSupervisor } from './fake-supervisor.ts'

const PAGE = join(import.meta.dirname, '../../../docs/control-api.md')
/** curl's exit code when --max-time ends a stream of events. */
const CURL_TIMED_OUT = 28

interface Example {
  readonly command: string
  readonly status: number
  /** The answer that the page shows below it. */
  answer?: unknown
}

/** The commands of the page, in order. */
function examplesOf(page: string): Example[] {
  const examples: Example[] = []
  for (const [, kind, text = ''] of page.matchAll(/^```(sh|json)\n(.*?)^```$/gms)) {
    const last = examples.at(-1)
    if (kind === 'json' && last) last.answer = JSON.parse(text)
    if (kind !== 'sh') continue
    for (const line of text.trim().split('\n')) {
      const match = /^(curl .*) # (\d{3})$/.exec(line)
      assert.ok(match, `not an example: ${line}`)
      examples.push({ command: match[1] ?? '', status: Number(match[2]) })
    }
  }
  return examples
}

async function serve(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'sheepfs-docs-'))
  const app = await buildControlApp({ supervisor: new FakeSupervisor(), log: silentLogger(), version: '0' })
  const socket = join(directory, 's')
  const listening = await listenUnix(app, { path: socket, mode: 0o600 })
  t.after(async () => {
    await listening.close()
    await rm(directory, { recursive: true, force: true })
  })
  return { app, socket }
}

/** Runs an example as a reader would, in a shell; the status comes after the body. */
function run(command: string, socket: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...process.env, S: socket }, timeout: 20_000, maxBuffer: 2 ** 24 }
    execFile('sh', ['-c', `${command} -w '\\n%{http_code}'`], options, (error, stdout) => {
      if (error !== null && Number(error.code) !== CURL_TIMED_OUT) {
        reject(new Error(`${command}: ${error.message}`))
        return
      }
      const [, body = '', status] = /^(.*)\n(\d+)$/s.exec(stdout) ?? []
      resolve({ status: Number(status), body })
    })
  })
}

test('every example of the page does what the page says', { skip: missing('curl'), timeout: 60_000 }, async (t) => {
  const { socket } = await serve(t)
  for (const { command, status, answer } of examplesOf(await readFile(PAGE, 'utf8'))) {
    const result = await run(command, socket)
    assert.equal(result.status, status, `${command}\n${result.body}`)
    if (answer !== undefined) assert.deepEqual(JSON.parse(result.body), answer, command)
  }
})

test('every route has an example on the page', { timeout: 20_000 }, async (t) => {
  const { app } = await serve(t)
  const page = (await app.inject('/openapi.json')).json<{ paths: Record<string, object> }>()
  const called = examplesOf(await readFile(PAGE, 'utf8')).map(({ command }) => {
    const method = /-X (\w+)/.exec(command)?.[1] ?? (command.includes('--json') ? 'POST' : 'GET')
    return `${method} ${/http:\/\/localhost([^\s'?]*)/.exec(command)?.[1] ?? ''}`
  })
  const missing = Object.entries(page.paths)
    .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    .filter((route) => {
      const pattern = new RegExp(`^${route.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`)
      return !called.some((call) => pattern.test(call))
    })
  assert.deepEqual(missing, [])
})

test('every error code is on the page with its status', async () => {
  const rows = (await readFile(PAGE, 'utf8')).split('\n').filter((line) => /^\| \d{3} /.test(line))
  for (const [code, status] of Object.entries(HTTP_STATUS)) {
    const row = rows.find((line) => line.includes(`\`${code}\``))
    assert.ok(row?.startsWith(`| ${status} `), `${status} ${code}`)
  }
})
