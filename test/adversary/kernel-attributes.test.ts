import assert from 'node:assert/strict'
import { open, readFile, stat, symlink, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { KernelAttributes, type ToldMount } from '../../src/daemon/kernel-attributes.ts'
import { silentLogger } from '../../src/log.ts'
import { succeed } from '../e2e/stage/program.ts'
import { WITH_MOUNT } from '../fuse/kernel/memory-mount.ts'
import { mountHostile, type HostileTree } from './hostile-tree.ts'

const PRECIOUS = 'root:*:19000:0:99999:7:::\n'
const LATER_MS = Date.UTC(2040, 0, 1)

interface Victim {
  readonly path: string
  readonly isUnharmed: () => Promise<boolean>
}

/** A file of the host that no tree has to do with. */
async function victimBeside({ stage }: HostileTree): Promise<Victim> {
  const path = join(await stage.folder(), 'shadow')
  await writeFile(path, PRECIOUS)
  const before = (await stat(path)).mtimeMs
  const isUnharmed = async (): Promise<boolean> =>
    (await readFile(path, 'utf8')) === PRECIOUS && (await stat(path)).mtimeMs === before
  return { path, isUnharmed }
}

async function tell(kernel: KernelAttributes, volume: string): Promise<void> {
  kernel.setSize(volume, 0)
  kernel.setModified(volume, LATER_MS)
  await kernel.whenTold()
}

function attributesOf({ path, minor }: HostileTree): KernelAttributes {
  return new KernelAttributes(() => ({ mountpoint: path, minor }), silentLogger())
}

test('a worker that names files outside of its tree changes none of them', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  const kernel = attributesOf(tree)
  const up = '../'.repeat(tree.path.split('/').length + 1)
  for (const name of [victim.path, up + victim.path, `test/${up}${victim.path}`, '..', '.', '', 'test\0']) {
    await tell(kernel, name)
    assert.ok(await victim.isUnharmed(), name)
  }
})

test('a worker that answers with links leads nobody out of its tree', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  tree.links.set('hole', victim.path)
  await tell(attributesOf(tree), 'hole')
  assert.ok(await victim.isUnharmed())
  const options = await succeed('findmnt', ['-n', '-o', 'OPTIONS', tree.path])
  const followed = await readFile(join(tree.path, 'volume', 'hole'), 'utf8').catch((error: unknown) => error)
  // Linux before 5.10 and mount(8) before 2.37 do not know it
  if (options.includes('nosymfollow')) assert.equal((followed as NodeJS.ErrnoException).code, 'ELOOP')
  else assert.equal(followed, PRECIOUS)
})

test('a worker whose folder of volumes is a link leads nobody out of its tree', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  tree.links.set('volume', join(victim.path, '..'))
  await tell(attributesOf(tree), 'shadow')
  assert.ok(await victim.isUnharmed())
})

test('nothing is changed where a mount has ended, whatever is there now', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  const place = await tree.stage.folder()
  await mkdir(join(place, 'volume'))
  await symlink(victim.path, join(place, 'volume', 'link'))
  await writeFile(join(place, 'volume', 'file'), PRECIOUS)
  for (const minor of [tree.minor, undefined]) {
    const kernel = new KernelAttributes(() => ({ mountpoint: place, minor }), silentLogger())
    for (const name of ['link', 'file']) await tell(kernel, name)
    assert.ok(await victim.isUnharmed())
    assert.equal(await readFile(join(place, 'volume', 'file'), 'utf8'), PRECIOUS)
  }
})

test('the kernel takes the time of a volume, and a size that the tree has', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const volume = join(tree.path, 'volume', 'test')
  assert.equal((await stat(volume)).size, 1 << 20)
  tree.tree.volume.content = Buffer.alloc(2 << 20)
  const kernel = attributesOf(tree)
  kernel.setSize('test', 2 << 20)
  kernel.setModified('test', LATER_MS)
  await kernel.whenTold()
  const { size, mtimeMs } = await stat(volume)
  assert.deepEqual([size, mtimeMs], [2 << 20, LATER_MS])
})

test('a size that is none is not told', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const kernel = attributesOf(tree)
  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53, '7' as unknown as number]) kernel.setSize('test', size)
  await kernel.whenTold()
  const file = await open(join(tree.path, 'volume', 'test'))
  assert.equal((await file.stat()).size, 1 << 20)
  await file.close()
})

test('a tree that does not answer keeps nobody waiting, and its process goes with the mount', WITH_MOUNT, async (t) => {
  const tree = await mountHostile(t)
  const kernel = attributesOf(tree)
  tree.silence.add('test')
  kernel.setSize('test', 1)
  while (!tree.heard.has('test')) await new Promise(setImmediate)
  kernel.stop()
  await tree.stage.close()
  await kernel.whenTold()
})

test('what the kernel could not be told while a tree did not answer, it is told afterwards', WITH_MOUNT, async (t) => {
  const [silent, tree] = [await mountHostile(t), await mountHostile(t)]
  silent.silence.add('test')
  const volume = join(tree.path, 'volume', 'test')
  assert.equal((await stat(volume)).size, 1 << 20)
  tree.tree.volume.content = Buffer.alloc(2 << 20)
  let attempts = 0
  const told = (): ToldMount => {
    const { path: mountpoint, minor } = attempts++ === 0 ? silent : tree
    return { mountpoint, minor }
  }
  const kernel = new KernelAttributes(told, silentLogger(), 500)
  kernel.setSize('test', 2 << 20)
  while (!silent.heard.has('test')) await new Promise(setImmediate)
  await kernel.whenTold()
  assert.equal(attempts, 1)
  await silent.stage.close()
  while ((await stat(volume)).size !== 2 << 20) await pause(20)
})
