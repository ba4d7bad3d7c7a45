import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { MountDevices, type MountOfDevices } from '../../../src/daemon/supervisor/mount-devices.ts'
import { silentLogger } from '../../../src/log.ts'
import { missing } from '../../e2e/stage/ability.ts'
import { run, succeed } from '../../e2e/stage/program.ts'

const NEEDS = { skip: missing('root', 'loop'), timeout: 60_000 }
const MIB = 2 ** 20
const PATIENT = { waits: true, gone: new AbortController().signal }

/** A mount whose volumes are files of this machine, and its devices. */
async function stage(t: TestContext, volumes: readonly string[], configured: readonly string[] = []) {
  const mountpoint = await mkdtemp(join(tmpdir(), 'devices-'))
  await mkdir(join(mountpoint, 'volume'))
  for (const volume of volumes) await writeFile(join(mountpoint, 'volume', volume), Buffer.alloc(MIB))
  const pathOf = (volume: string): string => join(mountpoint, 'volume', volume)
  const mount = {
    name: 'm',
    config: { mountpoint, devices: [...configured] },
    keeper: { state: 'serving' },
    pathOf,
    kernelKnowsSizes: () => Promise.resolve(),
    ask: (_caller: unknown, method: string, name: string) =>
      Promise.resolve(
        method === 'attach' ? { isNew: true, volume: { name, path: pathOf(name), read_only: false } } : {},
      ),
    markConfigured: (volume: unknown) => volume,
  }
  const devices = new MountDevices(mount as unknown as MountOfDevices, silentLogger())
  const runtime = process.env['SHEEPFS_RUNTIME_DIR']
  process.env['SHEEPFS_RUNTIME_DIR'] = mountpoint
  t.after(async () => {
    if (runtime === undefined) delete process.env['SHEEPFS_RUNTIME_DIR']
    else process.env['SHEEPFS_RUNTIME_DIR'] = runtime
    mount.config.devices = []
    for (const { path } of await devices.list()) await run('losetup', ['--detach', path])
    await rm(mountpoint, { recursive: true })
  })
  return { devices, mount }
}

/** A loop device over the beginning of a file, which goes once: its number may be somebody else's afterwards. */
async function deviceOverPart(t: TestContext, file: string): Promise<{ path: string; detach: () => Promise<void> }> {
  const path = (await succeed('losetup', ['--find', '--show', '--sizelimit', '4096', file])).trim()
  let isThere = true
  const detach = async (): Promise<void> => {
    if (isThere) await succeed('losetup', ['--detach', path])
    isThere = false
  }
  t.after(detach)
  return { path, detach }
}

test(
  'a configured device that nothing is in the way of is mapped, any other one as soon as it can be',
  NEEDS,
  async (t) => {
    const { devices, mount } = await stage(t, ['a', 'b'], ['a', 'b'])
    const { path: part, detach } = await deviceOverPart(t, mount.pathOf('b'))
    await devices.mapConfigured()
    assert.deepEqual(
      (await devices.list()).map(({ volume }) => volume),
      ['a'],
    )
    assert.match(
      devices.lack ?? '',
      new RegExp(`^volume "b": it is in use through ${part}, which has only a part of it$`),
    )
    await detach()
    while (devices.lack !== undefined) await pause(50)
    assert.deepEqual((await devices.list()).map(({ volume }) => volume).sort(), ['a', 'b'])
  },
)

test('a configured device that is not wanted any more is not mapped later', NEEDS, async (t) => {
  const { devices, mount } = await stage(t, ['a'], ['a'])
  const { detach } = await deviceOverPart(t, mount.pathOf('a'))
  await devices.mapConfigured()
  assert.notEqual(devices.lack, undefined)
  mount.config.devices = []
  while (devices.lack !== undefined) await pause(50)
  await detach()
  assert.deepEqual(await devices.list(), [])
})

test('whoever has gone before his volume is mapped gets no device', NEEDS, async (t) => {
  const { devices } = await stage(t, ['a'])
  const gone = new AbortController()
  const mapped = devices.map('a', {}, { waits: true, gone: gone.signal })
  gone.abort()
  await assert.rejects(mapped, { code: 'closed' })
  assert.equal((await devices.map('a', {}, PATIENT)).isNew, true) // behind what the first has begun
  await devices.unmap('a', PATIENT)
  assert.deepEqual(await devices.list(), [])
})

test('a device takes the size of its file, and one over a part of it stays', NEEDS, async (t) => {
  const { devices, mount } = await stage(t, ['a', 'b'])
  const { device } = await devices.map('a', {}, PATIENT)
  await truncate(mount.pathOf('a'), 2 * MIB)
  await devices.grow('a', 2 * MIB)
  assert.equal(Number(await succeed('blockdev', ['--getsize64', device.path])), 2 * MIB)
  const { path: part } = await deviceOverPart(t, mount.pathOf('b'))
  await truncate(mount.pathOf('b'), 2 * MIB)
  await devices.grow('b', 2 * MIB)
  assert.equal(Number(await succeed('blockdev', ['--getsize64', part])), 4096)
})

test('names that a path has to be careful with are mapped under their own', NEEDS, async (t) => {
  const names = ['a b', "it's", '"', '$(x)', 'ä%2Fö', '-rf', 'x@y']
  const { devices } = await stage(t, names)
  for (const name of names) await devices.map(name, {}, PATIENT)
  assert.deepEqual((await devices.list()).map(({ volume }) => volume).sort(), [...names].sort())
  for (const name of names) await devices.unmap(name, PATIENT)
  assert.deepEqual(await devices.list(), [])
})
