import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { holdVolume, overVolume } from '../../src/daemon/device/volume-file.ts'
import { isSheepfsError } from '../../src/errors.ts'
import { missing } from '../e2e/stage/ability.ts'
import { detachWhileSame } from '../e2e/stage/loop.ts'
import { run, succeed } from '../e2e/stage/program.ts'
import { mountHostile, type HostileTree } from './hostile-tree.ts'

const NEEDS = { skip: missing('fuse', 'root', 'loop'), timeout: 60_000 }
const SIGNAL = new AbortController().signal

async function loopsOver(path: string): Promise<string> {
  return succeed('losetup', ['--noheadings', '--output', 'NAME', '--associated', path])
}

/** A file of the host, the size of a volume. */
async function victimBeside({ stage }: HostileTree): Promise<string> {
  const path = join(await stage.folder(), 'shadow')
  await writeFile(path, Buffer.alloc(2 ** 20, 'x'))
  return path
}

function losetup(path: string, ...flags: readonly string[]): Promise<string> {
  return succeed('losetup', ['--find', '--show', ...flags, path]).then((said) => said.trim())
}

/** What is made of a volume by who would set a loop device up over `file`. */
async function setUp(context: TestContext, volume: string, file: string): Promise<string> {
  return overVolume(volume, SIGNAL, {
    make: async () => {
      const device = await losetup(file)
      context.after(await detachWhileSame(device))
      return device
    },
    deviceOf: (device) => device,
    takeBack: (device) => succeed('losetup', ['--detach', device]),
  })
}

function isNoVolume(error: unknown): boolean {
  return isSheepfsError(error, 'io') && / is no volume: |leads out of its tree|^stat: /.test(error.message)
}

test('a volume may be held, and have a loop device', NEEDS, async (t) => {
  const { path } = await mountHostile(t)
  const volume = join(path, 'volume', 'test')
  const held = await holdVolume(volume, SIGNAL)
  assert.match(await loopsOver(volume), /^$/)
  const device = await setUp(t, volume, volume)
  assert.equal((await loopsOver(volume)).trim(), device)
  await succeed('losetup', ['--detach', device])
  await held.release()
})

test('a link in the place of a volume, or of all of them, is no volume', NEEDS, async (t) => {
  for (const name of ['test', 'volume']) {
    const tree = await mountHostile(t)
    const victim = await victimBeside(tree)
    tree.links.set(name, name === 'test' ? victim : join(victim, '..'))
    const volume = join(tree.path, 'volume', name === 'test' ? 'test' : 'shadow')
    await assert.rejects(holdVolume(volume, SIGNAL), isNoVolume)
    await assert.rejects(setUp(t, volume, volume), isNoVolume)
    assert.equal(await loopsOver(victim), '')
  }
})

test('what lies on another mount is no volume, whatever its path', NEEDS, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  const volume = join(tree.path, 'volume', 'test')
  await succeed('mount', ['--bind', victim, volume])
  tree.stage.defer(() => run('umount', [volume]))
  await assert.rejects(holdVolume(volume, SIGNAL), isNoVolume)
  await assert.rejects(setUp(t, volume, volume), isNoVolume)
  for (const path of [victim, '/etc/shadow', join(tree.path, 'test')]) {
    await assert.rejects(holdVolume(path, SIGNAL), isNoVolume, path)
  }
  assert.equal(await loopsOver(victim), '')
})

test('a loop device over what came in the place of a volume is taken back', NEEDS, async (t) => {
  const tree = await mountHostile(t)
  const victim = await victimBeside(tree)
  await assert.rejects(setUp(t, join(tree.path, 'volume', 'test'), victim), isNoVolume)
  assert.equal(await loopsOver(victim), '')
})
