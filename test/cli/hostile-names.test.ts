import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { buildControlApp } from '../../src/api/control-app.ts'
import { listenUnix } from '../../src/api/listen-unix.ts'
import type { Supervisor } from '../../src/api/supervisor.ts'
import { COMMANDS } from '../../src/cli/sheepfsctl-program.ts'
import { runSheepfsctl } from '../../src/cli/sheepfsctl-run.ts'
import { SheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { fakeMetrics, fakeVolumeMetrics } from '../api/fake-metrics.ts'
import { FakeSupervisor, fakeMount } from '../api/fake-supervisor.ts'

/** A title, a colour (in C0 and in C1), other directions, a line of its own, what cannot be seen. */
const EVIL =
  '\u001b]0;title\u0007\u009b31m\u202eeman\u2066\nFORGED\r\u2028\u2029\u0085\u061c\u200e\u200b\u00ad\ufeff\u{e0041}\u007f'
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
/** What clusters, workers and administrators name, in any answer. */
const NAMED = new Set(
  'reason mountpoint path store state_text tag volume volumes copies used_by vdi text config_file created_at device'.split(
    ' ',
  ),
)

function corrupted(value: unknown, isNamed = false): unknown {
  if (typeof value === 'string') return isNamed ? value + EVIL : value
  if (Array.isArray(value)) return value.map((item) => corrupted(item, isNamed))
  if (typeof value !== 'object' || value === null) return value
  const isVdi = 'snapshot_id' in value
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    corrupted(item, NAMED.has(key) || (isVdi && key === 'name')),
  ])
  return Object.fromEntries(entries)
}

/** The same instance, with evil in whatever it names, or in what it refuses. */
function hostile(fails: boolean): Supervisor {
  const supervisor = new FakeSupervisor([fakeMount({ reason: 'waits' })])
  supervisor.vdiTable.set('b', { ...supervisor.vdiTable.get('web01'), volume: null } as never)
  supervisor.measured = [fakeMetrics({ state: 'waiting', perVolume: [fakeVolumeMetrics()] })]
  supervisor.reloadSteps = [{ mount: null, text: 'x', effect: 'online' }]
  return new Proxy(supervisor, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      if (key === 'subscribe') {
        return (listener: (event: unknown) => void) => {
          setImmediate(() => {
            listener(
              corrupted({ type: 'mount-state', time: 'now', mount: 'cluster1', volume: 'v', vdi: 'd', reason: 'r' }),
            )
          })
          return () => undefined
        }
      }
      return async (...args: unknown[]): Promise<unknown> => {
        if (fails && key !== 'mounts') throw new SheepfsError('busy', `volume "${EVIL}" is open`)
        return corrupted(await Reflect.apply(value, target, args))
      }
    },
  })
}

const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  mount: ['/mnt/x', '--name', 'x'],
  unmount: ['cluster1'],
  restart: ['cluster1'],
  attach: ['web01', 'db01'],
  detach: ['web01', EVIL],
  map: ['web01', EVIL],
  unmap: ['web01', EVIL],
  'io-timeout': ['30'],
  top: ['--once', '--interval', '0.1'],
  'vdi create': ['new', '1G'],
  'vdi delete': ['web01', EVIL],
  'vdi info': ['web01'],
  'vdi rollback': ['db01@nightly'],
  'snapshot create': ['web01', 't'],
  'snapshot delete': ['db01@nightly', EVIL],
  snapshot: ['web01', 't'],
  clone: ['db01@nightly', 'c'],
  resize: ['web01', '8G'],
}

/** Runs every command on an instance of its own. */
async function runAll(fails: boolean, ...options: string[]): Promise<Map<string, string>> {
  const said = new Map<string, string>()
  for (const { name } of COMMANDS) {
    const directory = await mkdtemp(join(tmpdir(), 'sheepfsctl-'))
    await mkdir(join(directory, 'cluster1'))
    const app = await buildControlApp({ supervisor: hostile(fails), log: silentLogger(), version: '0' })
    const listening = await listenUnix(app, { path: join(directory, 'cluster1', 'control.sock'), mode: 0o600 })
    let text = ''
    const write = (chunk: string): void => {
      text += chunk
      if (name === 'events') void listening.close() // they go on as long as the daemon does
    }
    const writeError = (chunk: string): void => {
      write(chunk.replaceAll('\r\u001b[K', ''))
    }
    const variables = { SHEEPFS_RUNTIME_DIR: directory, SHEEPFS_CONFIG: join(directory, 'none.toml') }
    await runSheepfsctl([...options, ...name.split(' '), ...(ARGUMENTS[name] ?? [])], {
      ...{ variables, write, writeError, showsProgress: true },
    })
    await listening.close()
    await rm(directory, { recursive: true, force: true })
    said.set(name, text)
  }
  return said
}

describe('names that would do something to a terminal', { timeout: 120_000 }, () => {
  for (const fails of [false, true]) {
    test(`are shown by every command as what they are${fails ? ', also by its errors' : ''}`, async () => {
      for (const [command, text] of await runAll(fails)) {
        assert.notEqual(text, '', command)
        assert.doesNotMatch(text, /is not understood/, command)
        assert.doesNotMatch(text, UNPRINTABLE, `${command}: ${JSON.stringify(text)}`)
        assert.doesNotMatch(text, /^FORGED/m, command)
      }
    })
  }

  test('are in JSON the same for programs, and nothing for a terminal', async () => {
    for (const [command, text] of await runAll(false, '--json')) {
      assert.doesNotMatch(text, UNPRINTABLE, command)
      assert.doesNotMatch(text, /^FORGED/m, command)
      if (command === 'cluster') assert.equal((JSON.parse(text) as { store: string }).store, `plain${EVIL}`)
      if (command === 'vdi list') assert.ok(text.includes(String.raw`\udb40\udc41`), text)
    }
  })
})
