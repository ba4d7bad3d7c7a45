import assert from 'node:assert/strict'
import { open, type FileHandle } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Device } from '../../src/api/schema/device.ts'
import { readLoops } from '../../src/daemon/device/loop-table.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf, writeConfig, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MOUNT = 'm'
const SIZE = 16 * 2 ** 20
const limit = { timeout: 90_000 }

describe('devices of the configuration', { skip: missing('fuse', 'root', 'loop'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let [one, two, by] = ['', '', '']
  let table: MountTable
  let daemon: Sheepfsd
  before(async () => {
    sheep = await startLamb(stage)
    ;[one, two, by] = [await sheep.createVdi(SIZE), await sheep.createVdi(SIZE), await sheep.createVdi(SIZE)]
    table = await tableOf(stage, MOUNT, sheep, [])
    daemon = await startSheepfsd(stage, { mounts: [{ ...table, devices: [one] }] })
  })
  after(() => stage.close())

  const mapped = async (): Promise<string[]> => (await daemon.client.devices(MOUNT)).map(({ volume }) => volume).sort()
  const deviceOf = async (name: string): Promise<Device> => {
    const device = (await daemon.client.devices(MOUNT)).find(({ volume }) => volume === name)
    assert.ok(device)
    return device
  }
  const attached = async (): Promise<string[]> => (await daemon.client.volumes(MOUNT)).map(({ name }) => name).sort()
  const untilAttached = async (...names: string[]): Promise<void> => {
    while (!isDeepStrictEqual(await attached(), names.sort())) await pause(20)
  }
  const reload = async (...devices: string[]): Promise<string[]> => {
    await writeConfig(daemon.place, [{ ...table, devices }])
    return (await daemon.client.reload()).steps.map(({ text }) => text)
  }
  const held = async (name: string): Promise<FileHandle> => open((await deviceOf(name)).path)

  test('are mapped when the daemon is ready, and their volumes attached for good', limit, async () => {
    assert.deepEqual(await mapped(), [one])
    const [volume] = await daemon.client.volumes(MOUNT)
    assert.deepEqual([volume?.name, volume?.configured, volume?.temporary], [one, true, false])
  })

  test('are mapped and unmapped by a reload', limit, async () => {
    assert.deepEqual(await reload(two), [`unmapped ${one}`, `detached ${one}`, `attached ${two}`, `mapped ${two}`])
    assert.deepEqual(await mapped(), [two])
    assert.deepEqual(await attached(), [two])
    assert.deepEqual(await reload(one, two), [`attached ${one}`, `mapped ${one}`])
    assert.deepEqual(await mapped(), [one, two].sort())
  })

  test('in use are not taken away by a reload, which says who uses them and changes nothing', limit, async () => {
    const user = await held(one)
    await writeConfig(daemon.place, [{ ...table, devices: [] }])
    const [first] = (await daemon.client.reload({ isDryRun: true })).steps
    assert.match(
      first?.text ?? '',
      new RegExp(`^unmapped ${one}; /dev/loop\\d+ is in use by .*node.*, so the reload would be refused$`),
    )
    await assert.rejects(reload(), {
      code: 'busy',
      message: new RegExp(`not reloaded: volume "${one}": .* is in use by .*node`),
    })
    assert.deepEqual(await mapped(), [one, two].sort())
    assert.deepEqual(await attached(), [one, two].sort())
    await user.close()
    await reload(one, two)
  })

  test('are given back by a reload that fails later, and what was mapped by hand stays', limit, async () => {
    await daemon.client.map(MOUNT, by, {})
    await assert.rejects(reload(by, 'nosuch'), { code: 'not-found' })
    assert.deepEqual(await mapped(), [one, two, by].sort())
    await reload(one, two)
    assert.deepEqual(await mapped(), [one, two, by].sort())
  })

  test('come again with a mount that is mounted anew, and so does what was mapped by hand', limit, async () => {
    await writeConfig(daemon.place, [{ ...table, allow_other: true, devices: [one, two] }])
    const user = await held(two)
    const [step] = (await daemon.client.reload({ isDryRun: true })).steps
    assert.match(step?.text ?? '', /is in use by .*node.*, so the reload would be refused$/)
    await user.close()
    const [free] = (await daemon.client.reload({ isDryRun: true })).steps
    assert.match(free?.text ?? '', /for another allow_other$/)
    await daemon.client.reload()
    assert.deepEqual(await mapped(), [one, two, by].sort())
    await daemon.client.unmap(MOUNT, by)
    await daemon.client.detach(MOUNT, by, true) // that it was in a configuration for a moment has attached it for good
    await reload(one, two)
  })

  test('that are unmapped by hand are no hindrance to a reload without them', limit, async () => {
    await daemon.client.unmap(MOUNT, one)
    await reload(two)
    await untilAttached(two)
    await reload(one, two)
  })

  test('in use hold a stop up until its limit, the log says by whom, and nothing is left', limit, async () => {
    const user = await held(one)
    const { path } = await deviceOf(one)
    const isThere = async (): Promise<boolean> => (await readLoops()).some(({ file }) => file.includes(one))
    await daemon.stop()
    assert.match(daemon.log(), new RegExp(`still in use.*: volume .*${one}.* ${path} is in use by .*node`))
    assert.equal(await isThere(), true)
    await user.close()
    while (await isThere()) await pause(20)
    assert.doesNotMatch(await succeed('losetup', ['--list']), new RegExp(`${one}|${two}`))
  })

  test('nobody uses are unmapped by a stop', limit, async () => {
    daemon = await startSheepfsd(stage, { mounts: [{ ...table, devices: [one] }], place: daemon.place })
    assert.deepEqual(await mapped(), [one])
    assert.equal(await daemon.stop(), 0)
    assert.doesNotMatch(daemon.log(), /by force/)
    assert.doesNotMatch(await succeed('losetup', ['--list']), new RegExp(one))
  })
})
