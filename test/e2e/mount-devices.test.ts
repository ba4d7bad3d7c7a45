import assert from 'node:assert/strict'
import { truncate } from 'node:fs/promises'
import { dirname } from 'node:path'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { dropDevice } from '../../src/daemon/device/block-device.ts'
import { readLoops } from '../../src/daemon/device/loop-table.ts'
import { DeviceGrowth } from '../../src/daemon/supervisor/device-growth.ts'
import type { ManagedMount } from '../../src/daemon/supervisor/managed-mount.ts'
import { MountDevices, type MountOfDevices } from '../../src/daemon/supervisor/mount-devices.ts'
import { silentLogger } from '../../src/log.ts'
import { missing } from './stage/ability.ts'
import { attachLoop, detachWhileSame } from './stage/loop.ts'
import { run, succeed } from './stage/program.ts'
import { startLamb } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const NEEDS = { skip: missing('fuse', 'root', 'loop'), timeout: 60_000 }
const MIB = 2 ** 20
const PATIENT = { waits: true, gone: new AbortController().signal }

/** A tree with `count` attached volumes, of which the first are configured as devices, and these devices. */
async function stage(t: TestContext, count: number, configured = 0) {
  const stage = new Stage()
  t.after(() => stage.close())
  const sheep = await startLamb(stage)
  const names = await Promise.all(Array.from({ length: count }, () => sheep.createVdi(MIB)))
  const sheepfs = await startSheepfs(stage, { sheep, attach: names })
  const runtime = process.env['SHEEPFS_RUNTIME_DIR']
  process.env['SHEEPFS_RUNTIME_DIR'] = await stage.folder()
  const mount = {
    name: 'm',
    instance: 'm',
    config: { mountpoint: dirname(dirname(sheepfs.volume('x'))), devices: names.slice(0, configured) },
    keeper: { state: 'serving' },
    pathOf: (volume: string) => sheepfs.volume(volume),
    kernelKnowsSizes: () => Promise.resolve(),
    ask: (_caller: unknown, method: string, name: string) =>
      Promise.resolve(
        method === 'attach' ? { isNew: true, volume: { name, path: sheepfs.volume(name), read_only: false } } : {},
      ),
    markConfigured: (volume: unknown) => volume,
  }
  const devices = new MountDevices(mount as unknown as MountOfDevices, silentLogger())
  const growth = new DeviceGrowth(mount as unknown as ManagedMount, silentLogger())
  stage.defer(async () => {
    if (runtime === undefined) delete process.env['SHEEPFS_RUNTIME_DIR']
    else process.env['SHEEPFS_RUNTIME_DIR'] = runtime
    mount.config.devices = []
    for (const { path } of await devices.list()) await run('losetup', ['--detach', path])
  })
  const [a = '', b = ''] = names
  return { stage, devices, growth, mount, a, b }
}

/** A loop device over the beginning of a file, which goes once: its number may be somebody else's afterwards. */
async function deviceOverPart(stage: Stage, file: string): Promise<{ path: string; detach: () => Promise<void> }> {
  const path = (await succeed('losetup', ['--find', '--show', '--sizelimit', '4096', file])).trim()
  const detach = await detachWhileSame(path)
  stage.defer(detach)
  return { path, detach }
}

test(
  'a configured device that nothing is in the way of is mapped, any other one as soon as it can be',
  NEEDS,
  async (t) => {
    const { stage: at, devices, mount, a, b } = await stage(t, 2, 2)
    const { path: part, detach } = await deviceOverPart(at, mount.pathOf(b))
    await devices.mapConfigured()
    assert.deepEqual(
      (await devices.list()).map(({ volume }) => volume),
      [a],
    )
    assert.match(
      devices.lack ?? '',
      new RegExp(`^volume "${b}": it is in use through ${part}, which has only a part of it$`),
    )
    await detach()
    while (devices.lack !== undefined) await pause(50)
    assert.deepEqual((await devices.list()).map(({ volume }) => volume).sort(), [a, b].sort())
  },
)

test('a configured device that is not wanted any more is not mapped later', NEEDS, async (t) => {
  const { stage: at, devices, mount, a } = await stage(t, 1, 1)
  const { detach } = await deviceOverPart(at, mount.pathOf(a))
  await devices.mapConfigured()
  assert.notEqual(devices.lack, undefined)
  mount.config.devices = []
  while (devices.lack !== undefined) await pause(50)
  await detach()
  assert.deepEqual(await devices.list(), [])
})

test('whoever has gone before his volume is mapped gets no device', NEEDS, async (t) => {
  const { devices, a } = await stage(t, 1)
  const gone = new AbortController()
  const mapped = devices.map(a, {}, { waits: true, gone: gone.signal })
  gone.abort()
  await assert.rejects(mapped, { code: 'closed' })
  assert.equal((await devices.map(a, {}, PATIENT)).isNew, true) // behind what the first has begun
  await devices.unmap(a, PATIENT)
  assert.deepEqual(await devices.list(), [])
})

test('a device takes the size of its file, and one over a part of it stays', NEEDS, async (t) => {
  const { stage: at, devices, growth, mount, a, b } = await stage(t, 2)
  const { device } = await devices.map(a, {}, PATIENT)
  await truncate(mount.pathOf(a), 2 * MIB)
  await growth.grow(a, 2 * MIB)
  assert.equal(Number(await succeed('blockdev', ['--getsize64', device.path])), 2 * MIB)
  const { path: part } = await deviceOverPart(at, mount.pathOf(b))
  await truncate(mount.pathOf(b), 2 * MIB)
  await growth.grow(b, 2 * MIB)
  assert.equal(Number(await succeed('blockdev', ['--getsize64', part])), 4096)
})

test('a device goes also when its tree was taken away just before', NEEDS, async (t) => {
  const { stage: at, mount, a } = await stage(t, 1)
  const file = mount.pathOf(a)
  const { device } = await attachLoop(at, file)
  await succeed('umount', ['-i', '-l', mount.config.mountpoint])
  await dropDevice({ path: device, file })
  while ((await readLoops()).some((loop) => loop.path === device && loop.file.endsWith(a))) await pause(20)
})
