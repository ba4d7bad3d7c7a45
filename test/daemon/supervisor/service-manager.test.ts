import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connectServiceManager } from '../../../src/daemon/supervisor/service-manager.ts'
import type { Libc } from '../../../src/daemon/system/libc.ts'
import { silentLogger } from '../../../src/log.ts'
import { succeed } from '../../e2e/stage/program.ts'

const log = silentLogger()
const env = { NOTIFY_SOCKET: '@notify', WATCHDOG_USEC: '30000000' }

function libcThat(sendDatagram: Libc['sendDatagram']): () => Libc {
  return () => ({ sendDatagram, prctl: () => undefined })
}

test('systemd is told in datagrams of one assignment a line, whatever a status says', () => {
  const sent: unknown[] = []
  const getLibc = libcThat((...message) => void sent.push(message))
  const manager = connectServiceManager(env, { getLibc, log })
  manager.ready()
  manager.status('serves\nSTOPPING=1')
  manager.watchdog()
  assert.deepEqual(sent, [
    ['@notify', 'READY=1\n', []],
    ['@notify', 'STATUS=serves STOPPING=1\n', []],
    ['@notify', 'WATCHDOG=1\n', []],
  ])
  assert.equal(manager.watchdogIntervalMs, 10_000)
})

test('nobody is told where no service manager has started the daemon', () => {
  const getLibc = libcThat(() => {
    throw new Error('told')
  })
  const manager = connectServiceManager({}, { getLibc, log })
  manager.ready()
  assert.equal(manager.watchdogIntervalMs, undefined)
})

test('a service manager that cannot be reached does not end the daemon', () => {
  const getLibc = libcThat(() => {
    throw new Error('sendmsg: ECONNREFUSED')
  })
  connectServiceManager(env, { getLibc, log }).ready()
})

test('systemd-notify tells systemd where the C library cannot be called', { timeout: 60_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sheepfs-notify-'))
  const { PATH } = process.env
  t.after(async () => {
    process.env['PATH'] = PATH
    await rm(folder, { recursive: true })
  })
  const told = join(folder, 'told')
  await succeed('mkfifo', [told])
  await writeFile(join(folder, 'systemd-notify'), `#!/bin/sh\necho "$@" >'${told}'\n`, { mode: 0o755 })
  process.env['PATH'] = `${folder}:${PATH ?? ''}`
  const getLibc = (): never => {
    throw new Error('koffi cannot be loaded')
  }
  connectServiceManager(env, { getLibc, log }).ready()
  assert.equal(await readFile(told, 'utf8'), 'READY=1\n')
})
