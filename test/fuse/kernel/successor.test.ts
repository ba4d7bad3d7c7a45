import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Negotiated } from '../../../src/fuse/kernel/negotiation.ts'
import { mountDevice } from '../../../src/fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice } from '../../../src/fuse/kernel/open-device.ts'
import { start, succeed } from '../../e2e/stage/program.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { WITH_MOUNT } from './memory-mount.ts'

/** Answers nothing while a test lasts. */
const FOR_EVER_MS = 1_000_000

/** A process with the descriptor, of which the parent knows what it negotiated. */
async function startServing(
  fd: number,
  options: { generation: number; latencyMs: number; negotiated?: Negotiated },
): Promise<{ child: ChildProcess; negotiated: Negotiated }> {
  const { generation, latencyMs, negotiated } = options
  const args = [generation, latencyMs, ...(negotiated === undefined ? [] : [JSON.stringify(negotiated)])].map(String)
  const child = fork(join(import.meta.dirname, 'serving-process.js'), args, {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', fd],
  })
  const [message] = (await once(child, 'message')) as [{ negotiated: Negotiated }]
  return { child, negotiated: message.negotiated }
}

async function killed(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function prepare(context: TestContext): Promise<{ fd: number; path: string }> {
  const stage = new Stage()
  context.after(() => stage.close())
  const path = await stage.mountpoint()
  const fd = await openDevice()
  const mount = await mountDevice(fd, { mountpoint: path, source: 'successor', allowOther: false, openers: () => [] })
  stage.defer(() => {
    closeDevice(fd)
  })
  stage.defer(() => mount.abort())
  return { fd, path }
}

test('a successor answers what a killed process had taken, and its open files go on', WITH_MOUNT, async (t) => {
  const { fd, path } = await prepare(t)
  const first = await startServing(fd, { generation: 1, latencyMs: FOR_EVER_MS })
  assert.equal(first.negotiated.maxWrite, 1 << 20)
  if (!first.negotiated.canResend) {
    await killed(first.child)
    t.skip('this kernel cannot send requests again (Linux 6.9 can)')
    return
  }
  const file = await open(join(path, 'volume/test'), 'r+')
  const reading = file.read(Buffer.alloc(4096), 0, 4096, 0)
  const writing = file.write(Buffer.alloc(8192, 'w'), 0, 8192, 65536)
  await delay(100)
  await killed(first.child)
  const second = await startServing(fd, { generation: 2, latencyMs: 0, negotiated: first.negotiated })
  const { bytesRead, buffer } = await reading
  assert.deepEqual([bytesRead, buffer[0]], [4096, 2])
  assert.equal((await writing).bytesWritten, 8192)
  assert.deepEqual((await file.read(Buffer.alloc(1), 0, 1, 65536)).buffer, Buffer.from('w'))
  await file.close()
  assert.equal(await succeed('ls', [path]), 'config\nvdi\nvolume\n')
  const exited = once(second.child, 'exit')
  await succeed('umount', [path])
  assert.deepEqual(await exited, [0, null])
})

test('a program that was killed while no process served ends as soon as one does', WITH_MOUNT, async (t) => {
  const { fd, path } = await prepare(t)
  const first = await startServing(fd, { generation: 1, latencyMs: FOR_EVER_MS })
  if (!first.negotiated.canResend) {
    await killed(first.child)
    t.skip('this kernel cannot send requests again (Linux 6.9 can)')
    return
  }
  const cat = start('cat', [join(path, 'volume/test')], { stdio: 'ignore' })
  const exited = once(cat, 'exit')
  await delay(200)
  await killed(first.child)
  cat.kill('SIGKILL')
  await delay(200)
  assert.equal(cat.signalCode, null)
  const second = await startServing(fd, { generation: 2, latencyMs: FOR_EVER_MS, negotiated: first.negotiated })
  assert.deepEqual(await exited, [null, 'SIGKILL'])
  await killed(second.child)
})

test('a process that hands its mount over ends by itself', WITH_MOUNT, async (t) => {
  const { fd, path } = await prepare(t)
  const { child, negotiated } = await startServing(fd, { generation: 1, latencyMs: 0 })
  assert.equal(await succeed('ls', [path]), 'config\nvdi\nvolume\n')
  const exited = once(child, 'exit')
  child.disconnect()
  assert.deepEqual(await exited, [0, null])
  await startServing(fd, { generation: 2, latencyMs: 0, negotiated })
  assert.equal(await succeed('ls', [path]), 'config\nvdi\nvolume\n')
})

test('a process that ends before it has answered INIT is replaced too', WITH_MOUNT, async (t) => {
  const { fd, path } = await prepare(t)
  const child = fork(join(import.meta.dirname, 'serving-process.js'), ['1', '0'], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', fd],
  })
  await killed(child)
  await startServing(fd, { generation: 2, latencyMs: 0 })
  assert.equal(await succeed('ls', [path]), 'config\nvdi\nvolume\n')
})
