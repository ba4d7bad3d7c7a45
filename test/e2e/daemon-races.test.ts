import assert from 'node:assert/strict'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { missing } from './stage/ability.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const NEEDS = { skip: missing('fuse', 'root'), timeout: 300_000 }

describe('a volume that a new worker attaches again', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  test('stays writable although somebody has asked for it read-only', async () => {
    const volume = await sheep.createVdi(MIB)
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [volume])] })
    await assert.rejects(daemon.client.attach(MOUNT, volume, { read_only: true }), { code: 'busy' })
    await daemon.client.restartMount(MOUNT)
    assert.deepEqual(
      (await daemon.client.volumes(MOUNT)).map((v) => v.read_only),
      [false],
    )
    assert.equal(await daemon.stop(), 0)
  })

  test('is writable when it was attached read-only, detached, and attached for writing', async () => {
    const volume = await sheep.createVdi(MIB)
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [])] })
    await daemon.client.attach(MOUNT, volume, { read_only: true })
    await daemon.client.detach(MOUNT, volume, false)
    await daemon.client.attach(MOUNT, volume, {})
    await daemon.client.restartMount(MOUNT)
    assert.deepEqual(
      (await daemon.client.volumes(MOUNT)).map((v) => v.read_only),
      [false],
    )
    assert.equal(await daemon.stop(), 0)
  })

  test('has the size in the kernel that it got while no worker served', async () => {
    const volume = await sheep.createVdi(MIB)
    const table = await tableOf(stage, MOUNT, sheep, [volume])
    const daemon = await startSheepfsd(stage, { mounts: [table, await tableOf(stage, 'n', sheep, [])] })
    const path = join(table.mountpoint, 'volume', volume)
    const file = await open(path, 'r+')
    assert.equal((await stat(path)).size, MIB)
    const next = await daemon.killWorker(MOUNT, 'SIGSTOP')
    await daemon.client.resizeVdi('n', volume, { size: 2 * MIB })
    process.kill(await daemon.workerPid(MOUNT), 'SIGKILL')
    await daemon.serving(MOUNT, next)
    const limit = performance.now() + 5000
    while ((await stat(path)).size === MIB && performance.now() < limit) await daemon.client.status()
    assert.equal((await stat(path)).size, 2 * MIB)
    await file.close()
    assert.equal(await daemon.stop(), 0)
  })
})
