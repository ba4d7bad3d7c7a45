import assert from 'node:assert/strict'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, WORKER_USER, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20

/** A mount of a sheep, with some volumes attached. */
async function tableOf(stage: Stage, name: string, sheep: Sheep, volumes: readonly string[]): Promise<MountTable> {
  return { name, mountpoint: await stage.mountpoint(), sheep: [addressText(sheep.address)], volumes }
}

describe('sheepfsd with three mounts of two clusters', { skip: missing('fuse', 'root'), timeout: 60_000 }, () => {
  const stage = new Stage()
  let tables: readonly MountTable[]
  let volumes: readonly string[]
  let daemon: Sheepfsd
  before(async () => {
    const [one, other] = [await startLamb(stage), await startLamb(stage)]
    volumes = [await one.createVdi(MIB), await one.createVdi(MIB), await other.createVdi(MIB)]
    tables = [
      await tableOf(stage, 'a', one, volumes.slice(0, 1)),
      await tableOf(stage, 'b', one, volumes.slice(1, 2)),
      await tableOf(stage, 'c', other, volumes.slice(2)),
    ]
    daemon = await startSheepfsd(stage, { mounts: tables })
  })
  after(() => stage.close())

  test('mounts all of them', async () => {
    assert.equal((await daemon.client.health()).status, 'ok')
    for (const [at, { mountpoint }] of tables.entries()) {
      assert.deepEqual(await readdir(join(mountpoint, 'volume')), [volumes[at]])
    }
  })

  test('serves them by workers without privileges', async () => {
    const uid = (await succeed('id', ['-u', WORKER_USER])).trim()
    for (const { name } of tables) {
      const status = await readFile(`/proc/${await daemon.workerPid(name)}/status`, 'utf8')
      assert.match(status, new RegExp(`^Uid:\\t${uid}\\t${uid}\\t${uid}\\t`, 'm'))
      assert.match(status, /^CapEff:\t0+$/m)
    }
  })

  test('attaches, lists and detaches a volume', async () => {
    const [mount, volume = ''] = ['c', volumes[2]]
    await daemon.client.detach(mount, volume, false)
    assert.deepEqual(await daemon.client.volumes(mount), [])
    assert.equal((await daemon.client.attach(mount, volume, {})).isNew, true)
    assert.equal((await daemon.client.attach(mount, volume, {})).isNew, false)
    assert.deepEqual((await daemon.client.mount(mount)).volumes, [volume])
  })

  test('refuses to detach a volume that is open, unless forced', async () => {
    const file = await open(join(tables[0]?.mountpoint ?? '', 'volume', volumes[0] ?? ''))
    await assert.rejects(daemon.client.detach('a', volumes[0] ?? '', false), { code: 'busy' })
    await daemon.client.detach('a', volumes[0] ?? '', true)
    await file.close()
    await daemon.client.attach('a', volumes[0] ?? '', {})
  })

  test('switches both caches, of one mount', async () => {
    const cache = await daemon.client.patchCache('b', { page_cache: true, object_cache: true })
    assert.deepEqual([cache.page_cache, cache.object_cache], [true, true])
    assert.equal((await daemon.client.cache('a')).page_cache, false)
    assert.equal((await daemon.client.patchCache('b', { page_cache: false })).page_cache, false)
  })

  test('a volume has its new size everywhere once a resize has returned, in both cache modes', async () => {
    const [mount, volume = ''] = ['a', volumes[0]]
    const path = join(tables[0]?.mountpoint ?? '', 'volume', volume)
    for (const [isCached, size] of [[false, 2 * MIB] as const, [true, 3 * MIB] as const]) {
      await daemon.client.patchCache(mount, { page_cache: isCached })
      const file = await open(path)
      await daemon.client.resizeVdi(mount, volume, { size })
      assert.equal((await stat(path)).size, size)
      assert.equal((await file.stat()).size, size)
      await file.close()
    }
  })

  test('unmounts everything and ends with 0 on SIGTERM', async () => {
    assert.equal(await daemon.stop(), 0)
    for (const { mountpoint } of tables) assert.equal(await findMount(mountpoint), undefined)
  })
})
