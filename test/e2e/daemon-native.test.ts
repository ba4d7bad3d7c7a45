import assert from 'node:assert/strict'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import type { MountInput } from '../../src/api/schema/config.ts'
import { addressText } from '../../src/sheep/address.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { openDirect } from './ordeal/worker-kills.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const NEEDS = { skip: missing('fuse', 'root'), timeout: 300_000 }

async function nativeTable(stage: Stage, name: string, sheep: Sheep, volumes: readonly string[]): Promise<MountTable> {
  return { ...(await tableOf(stage, name, sheep, volumes)), engine: 'fuse-native' }
}

describe('a daemon with engine fuse-native', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  let volume: string
  let table: MountTable
  let daemon: Sheepfsd
  before(async () => {
    sheep = await startSheep(stage)
    volume = await sheep.createVdi(MIB)
    table = await nativeTable(stage, MOUNT, sheep, [volume])
    daemon = await startSheepfsd(stage, { mounts: [table], workerUser: 'root' })
  })
  after(() => stage.close())

  async function readable(name: string): Promise<void> {
    await succeed('dd', [`if=${join(table.mountpoint, 'volume', name)}`, 'of=/dev/null', 'bs=64k', 'count=1'])
  }

  test('attaches, serves and detaches a volume', async () => {
    const added = await sheep.createVdi(MIB)
    assert.equal((await daemon.client.attach(MOUNT, added, {})).isNew, true)
    await readable(added)
    await daemon.client.detach(MOUNT, added, false)
    assert.deepEqual(await readdir(join(table.mountpoint, 'volume')), [volume])
  })

  test('refuses what the engine cannot do, naming it', async () => {
    const { worker } = await daemon.serving(MOUNT)
    const refusal = { code: 'not-supported', message: /fuse-native/ }
    await assert.rejects(daemon.client.restartMount(MOUNT), refusal)
    await assert.rejects(daemon.client.patchCache(MOUNT, { page_cache: true }), refusal)
    assert.deepEqual((await daemon.serving(MOUNT)).worker, worker)
  })

  test('mounts anew when its worker was killed, with what was attached', async () => {
    const added = await sheep.createVdi(MIB)
    await daemon.client.attach(MOUNT, added, {})
    const file = await openDirect(join(table.mountpoint, 'volume', volume))
    const mount = await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
    assert.deepEqual(new Set(mount.volumes), new Set([volume, added]))
    await assert.rejects(file.read(Buffer.alloc(4096), 0, 4096, 0)) // it was open in the mount that is gone
    await file.close().catch(() => undefined)
    await readable(added)
    await daemon.client.detach(MOUNT, added, false)
  })

  test('refuses to remove a mount in use, and removes it by force', async () => {
    const mountpoint = await stage.mountpoint()
    const mount: MountInput = { name: 'other', mountpoint, sheep: [addressText(sheep.address)], engine: 'fuse-native' }
    await daemon.client.addMount(mount)
    const inUse = await open(join(mountpoint, 'vdi/list'))
    await assert.rejects(daemon.client.removeMount('other', false), { code: 'busy' })
    assert.equal((await daemon.serving('other')).worker.generation, 1)
    await daemon.client.removeMount('other', true)
    assert.equal(await findMount(mountpoint), undefined)
    await inUse.close().catch(() => undefined) // its mount is gone
    await daemon.client.addMount(mount)
    await daemon.client.removeMount('other', false)
    assert.equal(await findMount(mountpoint), undefined)
  })

  test('removes a mount whose worker was killed', async () => {
    const mountpoint = await stage.mountpoint()
    const sheepText = addressText(sheep.address)
    await daemon.client.addMount({ name: 'other', mountpoint, sheep: [sheepText], engine: 'fuse-native' })
    await daemon.killWorker('other')
    while ((await daemon.client.mount('other')).state === 'serving') await delay(5)
    await daemon.client.removeMount('other', false)
    assert.equal(await findMount(mountpoint), undefined)
  })

  test('leaves alone what is mounted where it cannot mount', async () => {
    const other = await nativeTable(stage, 'other', sheep, [])
    await succeed('mount', ['-t', 'tmpfs', 'foreign', other.mountpoint])
    const mounts = [await tableOf(stage, 'served', sheep, []), other]
    const second = await startSheepfsd(stage, { mounts, workerUser: 'root' })
    assert.match((await second.client.mount('other')).reason ?? '', /foreign/)
    assert.equal(await second.stop(), 0)
    assert.equal((await findMount(other.mountpoint))?.source, 'foreign')
    await succeed('umount', [other.mountpoint])
  })
})
