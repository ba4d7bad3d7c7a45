import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Vdi } from '../../src/api/schema/vdi.ts'
import { runSheepfsctl } from '../../src/cli/sheepfsctl-run.ts'
import { addressText } from '../../src/sheep/address.ts'
import { missing } from './stage/ability.ts'
import { MortalLamb } from './stage/mortal-lamb.ts'
import { startSheepfsd, tableOf, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const NEEDS = { skip: missing('fuse', 'root'), timeout: 300_000 }
const MIB = 2 ** 20
const UNREACHABLE = 7
const DONE = 0
/** No verb may take longer with the cluster away. */
const LIMIT_MS = 35_000
/** What an impatient verb had sent would be done within this once the cluster is back. */
const AFTERMATH_MS = 3000

/** Where a verb may mount. */
interface Place {
  readonly sheep: string
  readonly free: string
}

/** Everything that sheepfsctl asks a cluster for. `v` is a VDI of its own, with a snapshot `v@s`. */
const VERBS: Readonly<Record<string, (v: string, place: Place) => readonly string[]>> = {
  cluster: () => ['cluster'],
  nodes: () => ['nodes'],
  'vdi list': () => ['vdi', 'list'],
  'vdi create': (v) => ['vdi', 'create', `${v}-new`, '4M'],
  'vdi create --copies': (v) => ['vdi', 'create', `${v}-copies`, '4M', '--copies', '1'],
  'vdi create --hyper': (v) => ['vdi', 'create', `${v}-hyper`, '4M', '--hyper'],
  'vdi delete': (v) => ['vdi', 'delete', v],
  'vdi delete of a snapshot': (v) => ['vdi', 'delete', `${v}@s`],
  'vdi info': (v) => ['vdi', 'info', v],
  'vdi rollback': (v) => ['vdi', 'rollback', `${v}@s`],
  snapshot: (v) => ['snapshot', v, 'later'],
  clone: (v) => ['clone', `${v}@s`, `${v}-clone`],
  resize: (v) => ['resize', v, '8M'],
  attach: (v) => ['attach', v],
  'attach of a snapshot': (v) => ['attach', `${v}@s`],
  'attach --read-only': (v) => ['attach', '--read-only', v],
  'attach --break-lock': (v) => ['attach', '--break-lock', v],
  'attach of two': (v) => ['attach', `${v}@s`, v],
  mount: (v, { sheep, free }) => ['mount', '--name', v, '--sheep', sheep, free],
}

/** What a verb could have changed. */
interface Trace {
  readonly vdis: readonly Vdi[]
  readonly volumes: readonly string[]
  readonly mounts: readonly string[]
}

async function traceOf({ client }: Sheepfsd): Promise<Trace> {
  return {
    vdis: await client.vdis('m'),
    volumes: (await client.volumes('m')).map(({ name }) => name).sort(),
    mounts: (await client.mounts()).map(({ name }) => name).sort(),
  }
}

/** Sends a request, and closes the connection when `gone` aborts. */
async function sendAndLeave(
  socketPath: string,
  { method, path, gone }: { readonly method: string; readonly path: string; readonly gone: AbortSignal },
): Promise<void> {
  const body = path.includes('resize') ? JSON.stringify({ size: 8 * MIB }) : undefined
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const sent = request({ socketPath, method, path, headers, agent: false, signal: gone })
  sent.once('response', (response) => {
    assert.fail(`${method} ${path} was answered with ${response.statusCode}`)
  })
  sent.end(body)
  await once(sent, 'error')
}

describe('while the cluster is away', NEEDS, () => {
  const stage = new Stage()
  let lamb: MortalLamb
  let daemon: Sheepfsd
  const free: Record<string, string> = {}

  /** Runs a verb as the program does. */
  async function run(args: readonly string[]): Promise<{ code: number; text: string; tookMs: number }> {
    const since = performance.now()
    let text = ''
    const write = (more: string): void => void (text += more)
    const variables = { SHEEPFS_RUNTIME_DIR: daemon.place.runtimeDirectory }
    const mount = args.includes('mount') ? [] : ['--mount', 'm']
    const context = { variables, write, writeError: write, showsProgress: false }
    const code = await runSheepfsctl([...mount, ...args], context)
    return { code, text, tookMs: performance.now() - since }
  }

  /** A VDI with data and a snapshot for each verb. */
  async function prepare(prefix: string): Promise<Map<string, readonly string[]>> {
    const commands = new Map<string, readonly string[]>()
    for (const [at, [verb, make]] of Object.entries(VERBS).entries()) {
      const v = `${prefix}${at}`
      const mountpoint = (free[v] ??= await stage.mountpoint())
      await daemon.client.createVdi('m', { name: v, size: 4 * MIB })
      await daemon.client.snapshotVdi('m', v, { tag: 's' })
      commands.set(verb, make(v, { sheep: addressText(lamb.address), free: mountpoint }))
    }
    return commands
  }

  before(async () => {
    lamb = await MortalLamb.start(stage, ['--locking'])
    const sheep = await lamb.sheep()
    daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, 'm', sheep, [])] })
  })
  after(() => stage.close())

  for (const way of ['stopped', 'gone'] as const) {
    test(`(${way}) every verb ends with exit code 7, and nothing of it happens later`, async () => {
      const commands = await prepare(`${way}-`)
      const before = await traceOf(daemon)
      await lamb.leave(way)
      const outcomes = await Promise.all(Array.from(commands, async ([verb, args]) => ({ verb, ...(await run(args)) })))
      await lamb.comeBack()
      await delay(AFTERMATH_MS)
      for (const { verb, code, text, tookMs } of outcomes) {
        assert.equal(code, UNREACHABLE, `${verb}: ${text}`)
        assert.ok(tookMs < LIMIT_MS, `${verb} took ${tookMs} ms`)
      }
      assert.deepEqual(await traceOf(daemon), before)
      // no lock is left either
      for (const args of commands.values()) {
        const [verb, name = ''] = [args[0], args.at(-1)]
        if (verb === 'attach')
          await daemon.client.attach('m', name, {}).then(() => daemon.client.detach('m', name, false))
      }
    })
  }

  test('with --wait every verb is done when the cluster is back', async () => {
    const commands = await prepare('wait-')
    await lamb.leave('gone')
    const running = Array.from(commands, async ([verb, args]) => ({ verb, ...(await run(['--wait', ...args])) }))
    await delay(LIMIT_MS)
    await lamb.comeBack()
    for (const { verb, code, text } of await Promise.all(running)) assert.equal(code, DONE, `${verb}: ${text}`)
    const { vdis, volumes } = await traceOf(daemon)
    const index = (verb: string): string => `wait-${Object.keys(VERBS).indexOf(verb)}`
    const named = (name: string): Vdi | undefined => vdis.find(({ volume }) => volume === name)
    assert.equal(named(index('vdi delete')), undefined)
    assert.ok(named(`${index('snapshot')}@later`))
    assert.ok(named(`${index('vdi rollback')}@2`))
    assert.equal(named(index('resize'))?.size, 8 * MIB)
    assert.ok(volumes.includes(index('attach')))
    await daemon.client.removeMount(index('mount'), false)
  })

  test('a volume that is detached stays so, and its lock is given back later', async () => {
    await daemon.client.createVdi('m', { name: 'leaving', size: MIB })
    await daemon.client.attach('m', 'leaving', {})
    await lamb.leave('gone')
    const { code, text } = await run(['detach', 'leaving'])
    assert.equal(code, UNREACHABLE)
    assert.match(text, /it is detached/)
    assert.ok(!(await daemon.client.volumes('m')).some(({ name }) => name === 'leaving'))
    const again = run(['--wait', 'detach', 'leaving'])
    await lamb.comeBack()
    assert.equal((await again).code, DONE)
    await daemon.client.deleteVdi('m', 'leaving')
  })

  test('a request whose client has gone is not done', async () => {
    for (const name of ['kept', 'grown', 'free']) await daemon.client.createVdi('m', { name, size: MIB })
    await lamb.leave('gone')
    const gone = new AbortController()
    const socketPath = join(daemon.place.runtimeDirectory, 'test', 'control.sock')
    const requests = ['DELETE vdis/kept', 'PUT volumes/free', 'POST vdis/grown/resize'].map(async (line) => {
      const [method = '', path = ''] = line.split(' ')
      await sendAndLeave(socketPath, { method, path: `/v1/mounts/m/${path}?wait=true`, gone: gone.signal })
    })
    await delay(1000)
    gone.abort()
    await Promise.all(requests)
    await lamb.comeBack()
    await delay(AFTERMATH_MS)
    const { vdis, volumes } = await traceOf(daemon)
    assert.ok(vdis.some(({ name }) => name === 'kept'))
    assert.equal(vdis.find(({ name }) => name === 'grown')?.size, MIB)
    assert.ok(!volumes.includes('free'))
  })

  test('(address of the mount) other sheep that do not answer are not taken', async () => {
    const { code } = await run(['sheep', '127.0.0.1:1'])
    assert.equal(code, UNREACHABLE)
    assert.deepEqual((await daemon.client.sheep('m')).addresses, [addressText(lamb.address)])
  })
})
