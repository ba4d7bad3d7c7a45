import assert from 'node:assert/strict'
import { mkdir, open, rename, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EXIT } from '../../src/cli/exit-code.ts'
import { runSheepfsctl } from '../../src/cli/sheepfsctl-run.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, writeConfig } from './stage/sheepfsd.ts'
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

describe('a reload that fails', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  test('does not detach what was attached by hand', async () => {
    const volume = await sheep.createVdi(MIB)
    const table = await tableOf(stage, MOUNT, sheep, [])
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    await daemon.client.attach(MOUNT, volume, {})
    await writeConfig(daemon.place, [{ ...table, volumes: [volume, 'nosuch'] }])
    await assert.rejects(daemon.client.reload(), { code: 'not-found' })
    assert.deepEqual((await daemon.client.mount(MOUNT)).volumes, [volume])
    assert.equal(await daemon.stop(), 0)
  })

  test('does not unmount what was mounted by hand', async () => {
    const table = await tableOf(stage, MOUNT, sheep, [])
    const added = await tableOf(stage, 'added', sheep, [])
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    stage.defer(() => daemon.stop())
    await daemon.client.addMount({ name: 'added', mountpoint: added.mountpoint, sheep: added['sheep'] as string[] })
    const before = await daemon.client.mounts()
    await writeConfig(daemon.place, [table, added])
    await assert.rejects(daemon.client.reload(), { code: 'exists' })
    assert.deepEqual(await daemon.client.mounts(), before)
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a mount that a reload makes anew', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())
  test('has the volumes that were attached by hand, and no others', async () => {
    const sheep = await startLamb(stage)
    const [old, now] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const table = await tableOf(stage, MOUNT, sheep, [])
    const first = await startSheepfsd(stage, { mounts: [table] })
    await first.client.attach(MOUNT, old, {})
    assert.equal(await first.stop(), 0)
    const daemon = await startSheepfsd(stage, { mounts: [table], place: first.place })
    assert.deepEqual((await daemon.client.mount(MOUNT)).volumes, [old])
    await daemon.client.detach(MOUNT, old, false)
    await daemon.client.attach(MOUNT, now, {})
    await writeConfig(daemon.place, [{ ...table, allow_other: true }])
    await daemon.client.reload()
    assert.deepEqual((await daemon.client.mount(MOUNT)).volumes, [now])
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a mount that two clients end at once', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())
  test('goes on when it is in use', async () => {
    const sheep = await startLamb(stage)
    const volume = await sheep.createVdi(MIB)
    const table = await tableOf(stage, MOUNT, sheep, [volume])
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    const file = await open(join(table.mountpoint, 'volume', volume), 'r')
    const removals = Array.from({ length: 4 }, () => daemon.client.removeMount(MOUNT, false))
    await Promise.all(removals.map((removal) => assert.rejects(removal, { code: 'busy' })))
    assert.equal((await daemon.client.mount(MOUNT)).state, 'serving')
    await file.close()
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a daemon without descriptors', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())
  test('outlives that one of its mounts is unmounted by others', async () => {
    const sheep = await startLamb(stage)
    const mounts = [await tableOf(stage, MOUNT, sheep, []), await tableOf(stage, 'n', sheep, [])]
    const daemon = await startSheepfsd(stage, { mounts })
    const pid = (await daemon.client.status()).pid
    await succeed('prlimit', ['--pid', String(pid), '--nofile=3:4096'])
    await succeed('umount', [mounts[0]?.mountpoint ?? ''])
    await new Promise((resolve) => setTimeout(resolve, 3000))
    await succeed('prlimit', ['--pid', String(pid), '--nofile=4096:4096'])
    assert.equal((await daemon.client.mount('n')).state, 'serving')
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a mount that somebody has unmounted', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())
  test('is mounted again by its name, as it is configured', async () => {
    const sheep = await startLamb(stage)
    const configured = await sheep.createVdi(2 ** 20)
    const mount = await tableOf(stage, MOUNT, sheep, [configured])
    const daemon = await startSheepfsd(stage, { mounts: [mount] })
    const mountIt = (): Promise<number> =>
      runSheepfsctl(['mount', MOUNT], {
        variables: { SHEEPFS_RUNTIME_DIR: daemon.place.runtimeDirectory },
        write: () => undefined,
        writeError: () => undefined,
        showsProgress: false,
      })
    assert.equal(await mountIt(), EXIT.conflict)
    for (const end of [() => succeed('umount', [mount.mountpoint]), () => daemon.client.removeMount(MOUNT, false)]) {
      await end()
      while ((await daemon.client.mounts()).some(({ state }) => state !== 'failed')) await delay(20)
      assert.equal(await mountIt(), EXIT.done)
      assert.equal((await daemon.serving(MOUNT)).configured, true)
      assert.deepEqual(
        (await daemon.client.volumes(MOUNT)).map(({ name }) => name),
        [configured],
      )
    }
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a mount whose place changes', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  test('is unmounted where it was moved to', async () => {
    const volume = await sheep.createVdi(MIB)
    const folder = await stage.folder()
    await mkdir(join(folder, 'a', 'mp'), { recursive: true })
    const table = { ...(await tableOf(stage, MOUNT, sheep, [volume])), mountpoint: join(folder, 'a', 'mp') }
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    await rename(join(folder, 'a'), join(folder, 'b'))
    stage.defer(() => succeed('sh', ['-c', `umount -l ${join(folder, 'b', 'mp')} 2>/dev/null; true`]))
    const since = performance.now()
    assert.equal(await daemon.stop(), 0)
    assert.ok(performance.now() - since < 15_000, daemon.log())
    assert.doesNotMatch(daemon.log(), /did not close its volumes/)
    await rmdir(join(folder, 'b', 'mp'))
  })

  test('is unmounted in its other places too', async () => {
    const volume = await sheep.createVdi(MIB)
    const table = await tableOf(stage, MOUNT, sheep, [volume])
    const other = await stage.mountpoint()
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    await succeed('mount', ['--bind', table.mountpoint, other])
    stage.defer(() => succeed('sh', ['-c', `umount -l ${other} 2>/dev/null; true`]))
    const file = await open(join(other, 'volume', volume), 'r+')
    stage.defer(() => file.close().catch(() => undefined))
    const busy = assert.rejects(daemon.client.removeMount(MOUNT, false), { code: 'busy' })
    await busy
    await file.close()
    const since = performance.now()
    await daemon.client.removeMount(MOUNT, false)
    assert.ok(performance.now() - since < 15_000, daemon.log())
    assert.doesNotMatch(daemon.log(), /did not close its volumes/)
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a lock', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage, ['--locking'])
  })
  after(() => stage.close())

  test('is given back by a daemon that is told to end while it starts', async () => {
    const [free, held] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const holder = await startSheepfs(stage, { sheep, attach: [held] })
    const mounts = [await tableOf(stage, MOUNT, sheep, [free, held])]
    const place = await newPlace(stage)
    await writeConfig(place, mounts)
    const daemon = launchSheepfsd(stage, place, { mounts })
    await daemon.logged('attached a volume')
    assert.equal(await daemon.stop(), 0)
    await holder.stop()
    await (await startSheepfs(stage, { sheep, attach: [free] })).stop()
  })
})
