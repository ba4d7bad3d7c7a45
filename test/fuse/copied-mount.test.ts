import assert from 'node:assert/strict'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { isSheepfsError } from '../../src/errors.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { CopiedTree } from '../e2e/stage/copied-tree.ts'
import { start, succeed } from '../e2e/stage/program.ts'
import { mountMemory, WITH_MOUNT } from './kernel/memory-mount.ts'

test('a mount of which another mount name space has a copy ends when it is unmounted', WITH_MOUNT, async (t) => {
  const { mounted, stage, path, volume } = await mountMemory(t)
  const copy = await CopiedTree.make(stage)
  assert.equal(await copy.run(`test -s ${volume}`), 0)
  await mounted.unmount()
  await mounted.ended
  assert.equal(await findMount(path), undefined)
  assert.notEqual(await copy.run(`stat ${volume} 2>&-`), 0)
})

test('so does one in which a copy has a working directory', WITH_MOUNT, async (t) => {
  const { mounted, stage, path } = await mountMemory(t)
  const copy = await CopiedTree.make(stage)
  assert.equal(await copy.run(`cd ${path}/volume`), 0)
  await mounted.unmount()
  await mounted.ended
})

test('one in which a copy has a file open goes on, here too, and says who has it', WITH_MOUNT, async (t) => {
  const { mounted, stage, path, volume } = await mountMemory(t)
  const copy = await CopiedTree.make(stage)
  assert.equal(await copy.run(`exec 3<>${volume}`), 0)
  await assert.rejects(mounted.unmount(), (error: Error) => {
    assert.ok(isSheepfsError(error, 'busy'), String(error))
    assert.match(error.message, new RegExp(`\\(pid ${String(copy.pid)}\\)`))
    return true
  })
  assert.notEqual(await findMount(path), undefined)
  assert.equal(await copy.run('dd count=1 status=none <&3 >/dev/null'), 0)
  assert.equal(await copy.run('exec 3>&-'), 0)
  await mounted.unmount()
  await mounted.ended
})

test('a file whose opener has ended is open too', WITH_MOUNT, async (t) => {
  const { mounted, stage, volume } = await mountMemory(t)
  const copy = await CopiedTree.make(stage)
  const pid = join(await stage.folder(), 'pid')
  assert.equal(await copy.run(`sh -c 'sleep 1000 <&3 >/dev/null & echo $! >${pid}' 3<>${volume}`), 0)
  await assert.rejects(mounted.unmount(), (error) => isSheepfsError(error, 'busy'))
  assert.equal(await copy.run(`kill $(cat ${pid})`), 0)
  await mounted.unmount()
  await mounted.ended
})

test('a mount that somebody unmounts ends though there is a copy of it', WITH_MOUNT, async (t) => {
  const { mounted, stage, path } = await mountMemory(t)
  await CopiedTree.make(stage)
  await succeed('umount', [path])
  await mounted.ended
})

test('when a copy has a file open it is served until that is closed', WITH_MOUNT, async (t) => {
  const { mounted, stage, path, volume } = await mountMemory(t)
  const copy = await CopiedTree.make(stage)
  assert.equal(await copy.run(`exec 3<>${volume}`), 0)
  await succeed('umount', [path])
  const stayed = await Promise.race([mounted.ended.then(() => false), copy.run('sleep 5').then(() => true)])
  assert.ok(stayed)
  assert.equal(await copy.run('dd count=1 status=none <&3 >/dev/null'), 0)
  await assert.rejects(mounted.unmount(), (error) => isSheepfsError(error, 'busy'))
  assert.equal(await copy.run('exec 3>&-'), 0)
  await mounted.ended
})

test('a mount that was moved, or is to be seen elsewhere too, is served on', WITH_MOUNT, async (t) => {
  const { mounted, stage, path } = await mountMemory(t)
  const other = await stage.mountpoint()
  await succeed('mount', ['--bind', path, other])
  await succeed('umount', [path])
  const stayed = await Promise.race([
    mounted.ended.then(() => false),
    once(start('sleep', ['5']), 'exit').then(() => true),
  ])
  assert.ok(stayed)
  assert.equal(await succeed('ls', [other]), 'config\nvdi\nvolume\n')
  await mounted.unmount()
  await mounted.ended
})
