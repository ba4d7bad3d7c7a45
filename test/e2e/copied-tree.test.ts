import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { CopiedTree } from './stage/copied-tree.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf, type MountTable } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
/** Less than it takes to give a worker up. */
const STOP_BOUND_MS = 20_000

describe('a tree of which a container has a copy', { skip: missing('fuse', 'root'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage, ['--locking'])
  })
  after(() => stage.close())

  /** A mount with one volume, and where that is. */
  async function oneVolume(engine: string): Promise<{ table: MountTable; name: string; volume: string }> {
    const name = await sheep.createVdi(16 * MIB)
    const table = { ...(await tableOf(stage, 'm', sheep, [name])), engine }
    return { table, name, volume: join(table.mountpoint, 'volume', name) }
  }

  async function isFree(name: string): Promise<void> {
    await (await startSheepfs(stage, { sheep, attach: [name] })).stop()
  }

  /** A worker that mounts by itself needs the right to. */
  const how = (engine: string): { workerUser?: string } => (engine === 'kernel' ? {} : { workerUser: 'root' })

  for (const engine of TESTED_ENGINES) {
    test(`${engine}: a stop ends it, and gives the locks back`, async () => {
      const { table, name, volume } = await oneVolume(engine)
      const daemon = await startSheepfsd(stage, { ...how(engine), mounts: [table] })
      const copy = await CopiedTree.make(stage)
      assert.equal(await copy.run(`dd if=/dev/urandom of=${volume} bs=1M count=1 conv=notrunc status=none`), 0)
      assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
      await isFree(name)
      const next = await startSheepfsd(stage, { ...how(engine), mounts: [table], place: daemon.place })
      assert.equal(await next.stop(STOP_BOUND_MS), 0, next.log())
    })

    test(`${engine}: so does an umount here`, async () => {
      const { table, name } = await oneVolume(engine)
      const daemon = await startSheepfsd(stage, { ...how(engine), mounts: [table] })
      await CopiedTree.make(stage)
      await succeed('umount', [table.mountpoint])
      while ((await daemon.client.mount('m')).state !== 'failed') await delay(20)
      await isFree(name)
      assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
    })

    test(`${engine}: what is open in the copy holds a stop up until its time limit`, async () => {
      const { table, name, volume } = await oneVolume(engine)
      const daemon = await startSheepfsd(stage, { ...how(engine), mounts: [table], stopTimeoutS: 3 })
      const copy = await CopiedTree.make(stage)
      assert.equal(await copy.run(`exec 3<>${volume}`), 0)
      assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
      const holder = engine === 'kernel' ? `\\(pid ${String(copy.pid)}\\)` : 'in use' // libfuse does not tell who opens
      assert.match(daemon.log(), new RegExp(`still in use, ended by force: .*${holder}`))
      assert.equal(await findMount(table.mountpoint), undefined)
      await isFree(name)
    })
  }

  test('kernel: to remove the mount is refused while something is open there, and it stays to be seen', async () => {
    const { table, volume } = await oneVolume('kernel')
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    const copy = await CopiedTree.make(stage)
    assert.equal(await copy.run(`exec 3<>${volume}`), 0)
    await assert.rejects(daemon.client.removeMount('m', false), { code: 'busy' })
    assert.notEqual(await findMount(table.mountpoint), undefined)
    assert.equal(await copy.run('exec 3>&-'), 0)
    await daemon.client.removeMount('m', false)
    assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
  })
})
