import assert from 'node:assert/strict'
import { open, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { kernelEngine } from './kernel-engine.ts'
import { ConnectionControl } from '../../../src/fuse/abort-connection.ts'
import { KernelMount } from '../../../src/fuse/kernel/kernel-mount.ts'
import { findMount } from '../../../src/fuse/mount-table.ts'
import { silentLogger } from '../../../src/log.ts'
import { run, succeed } from '../../e2e/stage/program.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { MemoryTree } from '../memory-tree.ts'
import { mountMemory, WITH_MOUNT } from './memory-mount.ts'

/** Numbers are given out from the lowest that is free. */
const MOST_OTHERS = 5
const MEMORY = { source: 'memory', allowOther: false, caching: 'direct', writeBack: false } as const

test('a mountpoint that is missing, no directory or in use is refused by name', WITH_MOUNT, async (t) => {
  const { path, stage } = await mountMemory(t)
  const folder = await stage.folder()
  const file = join(folder, 'file')
  await writeFile(file, '')
  for (const [mountpoint, code] of [
    [join(folder, 'nosuch'), 'not-found'],
    [file, 'invalid'],
    [path, 'busy'],
  ] as const) {
    const mounting = kernelEngine.mount(new MemoryTree(4096), { ...MEMORY, mountpoint, log: silentLogger() })
    await assert.rejects(mounting, (error: Error & { code?: string }) => {
      assert.equal(error.code, code)
      assert.ok(error.message.includes(mountpoint), error.message)
      return true
    })
  }
})

test('the mount shows its type, its source and its options', WITH_MOUNT, async (t) => {
  const { path } = await mountMemory(t)
  const mounted = await findMount(path)
  assert.deepEqual([mounted?.type, mounted?.source], ['fuse.sheepfs', 'memory'])
  const options = await succeed('findmnt', ['-n', '-o', 'OPTIONS', path])
  for (const option of ['nosuid', 'nodev', 'noexec', 'default_permissions', 'allow_other']) {
    assert.ok(options.includes(option), options)
  }
})

test('a busy mount goes on and says who holds it', WITH_MOUNT, async (t) => {
  const { mounted, volume, path } = await mountMemory(t)
  const file = await open(volume)
  await assert.rejects(mounted.unmount(), (error: Error & { code?: string }) => {
    assert.equal(error.code, 'busy')
    assert.ok(error.message.includes(`pid ${process.pid}`), error.message)
    return true
  })
  assert.equal((await file.read(Buffer.alloc(16), 0, 16, 0)).bytesRead, 16)
  await file.close()
  await mounted.unmount()
  await mounted.ended
  assert.equal(await findMount(path), undefined)
})

test('a loop device that holds a mount is named', WITH_MOUNT, async (t) => {
  const { mounted, volume } = await mountMemory(t)
  const device = (await succeed('losetup', ['--find', '--show', volume])).trim()
  try {
    await assert.rejects(mounted.unmount(), (error: Error) => error.message.includes(device))
  } finally {
    await succeed('losetup', ['-d', device])
  }
})

test('a mount that somebody else unmounts has ended', WITH_MOUNT, async (t) => {
  const { mounted, path, tree } = await mountMemory(t)
  await succeed('umount', [path])
  await mounted.ended
  assert.equal(tree.volume.opens, 0)
  await mounted.unmount()
})

test('abort fails what is in flight and leaves nothing mounted', WITH_MOUNT, async (t) => {
  const { mounted, path, volume, tree } = await mountMemory(t)
  tree.volume.latencyMs = 1_000
  const reading = run('dd', [`if=${volume}`, 'of=/dev/null', 'bs=4k', 'count=1'])
  while (tree.parallelism.now === 0) await new Promise((resolve) => setImmediate(resolve))
  await mounted.abort()
  await mounted.ended
  assert.match((await reading).stderr, /Software caused connection abort|not connected/)
  assert.equal(await findMount(path), undefined)
})

test('a process that mounted and unmounted exits by itself', WITH_MOUNT, async (t) => {
  const stage = new Stage()
  t.after(() => stage.close())
  const path = await stage.mountpoint()
  const source = new URL('../../../src', import.meta.url).pathname
  const program = `
    import { kernelEngine } from '${new URL('kernel-engine.js', import.meta.url).pathname}'
    import { silentLogger } from '${source}/log.js'
    import { MemoryTree } from '${new URL('../memory-tree.js', import.meta.url).pathname}'
    const mounted = await kernelEngine.mount(new MemoryTree(4096), {
      mountpoint: '${path}', source: 'memory', allowOther: false, caching: 'direct', writeBack: false, log: silentLogger(),
    })
    await mounted.unmount()
    console.log('unmounted')`
  assert.equal(await succeed('node', ['--input-type=module', '-e', program], { limitMs: 15_000 }), 'unmounted\n')
})

/** Mounts, the last of which has got this number. */
async function mountsWith(t: TestContext, number: number | undefined) {
  const mounts = [await mountMemory(t)]
  while (mounts.length < MOST_OTHERS && (await findMount(mounts.at(-1)?.path ?? ''))?.minor !== number) {
    mounts.push(await mountMemory(t))
  }
  return mounts
}

test('a mount that has ended leaves alone the next one, which gets its number', WITH_MOUNT, async (t) => {
  const ended = await mountMemory(t)
  const number = (await findMount(ended.path))?.minor
  await succeed('umount', [ended.path])
  await ended.mounted.ended
  const others = await mountsWith(t, number)
  await ended.mounted.abort()
  await ended.mounted.unmount()
  for (const { volume } of others) assert.equal((await stat(volume)).size > 0, true)
})

test('nor does one whose end nobody has seen yet', WITH_MOUNT, async (t) => {
  const gone = await mountMemory(t)
  const entry = await findMount(gone.path)
  assert.ok(entry)
  const mount = new KernelMount(entry, new ConnectionControl(entry.minor), () => [])
  t.after(() => {
    mount.close()
  })
  await succeed('umount', [gone.path])
  await gone.mounted.ended
  const others = await mountsWith(t, entry.minor)
  await mount.abort()
  await mount.unmount()
  await mount.detach()
  for (const { volume } of others) assert.equal((await stat(volume)).size > 0, true)
})
