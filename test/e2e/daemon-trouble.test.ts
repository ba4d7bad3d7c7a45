import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { run, succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, writeConfig, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
/** The stop timeout of the tests, what comes on top of it (docs/control-api.md), and a slow machine. */
const STOP_BOUND_MS = 30_000
const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }

async function stateOf(daemon: Sheepfsd, mount: string): Promise<string> {
  return (await daemon.client.mount(mount)).state
}

describe('a daemon one of whose mounts cannot serve', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  test('serves the others, shows the failure, and mends it when it can', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, []), await tableOf(stage, 'late', sheep, ['nosuch'])]
    const daemon = await startSheepfsd(stage, { mounts })
    const failed = await daemon.client.mount('late')
    assert.equal(failed.state, 'failed')
    assert.match(failed.reason ?? '', /nosuch/)
    assert.equal((await daemon.client.health()).status, 'failed')
    await daemon.client.createVdi(MOUNT, { name: 'nosuch', size: MIB })
    assert.deepEqual((await daemon.serving('late')).volumes, ['nosuch'])
    assert.equal(await daemon.stop(), 0)
  })

  test('serves the others while the cluster of one says nothing', async () => {
    const silent = await startLamb(stage, ['--fault', 'silence,op=STAT_CLUSTER', '--fault', 'silence,op=GET_VDI_INFO'])
    const mounts = [
      await tableOf(stage, MOUNT, sheep, []),
      await tableOf(stage, 'silent', silent, [await silent.createVdi(MIB)]),
    ]
    const place = await newPlace(stage)
    await writeConfig(place, mounts)
    const daemon = launchSheepfsd(stage, place, { mounts })
    await daemon.logged('"msg":"ready"', 0, 60_000)
    assert.deepEqual([await stateOf(daemon, MOUNT), await stateOf(daemon, 'silent')], ['serving', 'starting'])
    assert.equal(await daemon.stop(), 0)
    for (const { mountpoint } of mounts) assert.equal(await findMount(mountpoint), undefined)
  })

  test('does not forget what was attached to it at run time', async () => {
    const added = await sheep.createVdi(MIB)
    const [serving, late] = [await tableOf(stage, MOUNT, sheep, []), await tableOf(stage, 'late', sheep, [])]
    const first = await startSheepfsd(stage, { mounts: [serving, late] })
    await first.client.attach('late', added, {})
    assert.equal(await first.stop(), 0)
    const second = await startSheepfsd(stage, {
      mounts: [serving, { ...late, volumes: ['none'] }],
      place: first.place,
    })
    assert.equal(await stateOf(second, 'late'), 'failed')
    await second.client.createVdi(MOUNT, { name: 'passing', size: MIB })
    await second.client.attach(MOUNT, 'passing', {})
    assert.equal(await second.stop(), 0)
    const third = await startSheepfsd(stage, { mounts: [serving, late], place: first.place })
    assert.deepEqual((await third.serving('late')).volumes, [added])
    assert.equal(await third.stop(), 0)
  })

  test('takes a configuration that mends it', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, []), await tableOf(stage, 'late', sheep, ['wrong'])]
    const daemon = await startSheepfsd(stage, { mounts })
    const right = await sheep.createVdi(MIB)
    await writeConfig(
      daemon.place,
      mounts.map((table) => (table.name === 'late' ? { ...table, volumes: [right] } : table)),
    )
    daemon.child.kill('SIGHUP')
    await daemon.logged('"msg":"reloaded"')
    assert.deepEqual((await daemon.serving('late')).volumes, [right])
    assert.equal(await daemon.stop(), 0)
  })
})

describe('a daemon without a cluster', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('ends in its time, and says what it could not flush', async () => {
    const clusterStage = new Stage()
    stage.defer(() => clusterStage.close())
    const sheep = await startLamb(clusterStage)
    const volume = await sheep.createVdi(MIB)
    const mounts = [{ ...(await tableOf(stage, MOUNT, sheep, [volume])), page_cache: true }]
    const daemon = await startSheepfsd(stage, { mounts, stopTimeoutS: 8 })
    const file = await open(join(mounts[0]?.mountpoint ?? '', 'volume', volume), 'r+')
    await file.write(Buffer.alloc(65536, 1))
    await clusterStage.close().catch(() => undefined)
    const closed = file.close().catch(() => undefined)
    const code = await daemon.stop()
    assert.match(daemon.log(), /lost|by force/)
    assert.equal(await findMount(mounts[0]?.mountpoint ?? ''), undefined)
    assert.equal(code, 0)
    await closed
  })
})

describe('a daemon with a dead cluster and a live one', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('lists all that needs no cluster, and ends in its time', async () => {
    const dead = new Stage()
    stage.defer(() => dead.close().catch(() => undefined))
    const [lost, live] = [await startLamb(dead), await startLamb(stage)]
    const mounts = [
      await tableOf(stage, 'lost', lost, [await lost.createVdi(MIB)]),
      await tableOf(stage, 'live', live, [await live.createVdi(MIB)]),
    ]
    const daemon = await startSheepfsd(stage, { mounts, stopTimeoutS: 8 })
    const [path = '', livePath = ''] = mounts.map(({ mountpoint, volumes }) =>
      join(mountpoint, 'volume', volumes[0] ?? ''),
    )
    await dead.close().catch(() => undefined) // its VDIs went with it
    const writing = run('dd', ['if=/dev/zero', `of=${path}`, 'bs=64k', 'count=1', 'oflag=direct', 'conv=notrunc'])
    while ((await stateOf(daemon, 'lost')) !== 'waiting') await delay(20)
    for (const { mountpoint } of mounts) {
      const folders = ['', 'volume', 'vdi', 'config', 'cluster', 'node'].map((name) => join(mountpoint, name))
      await succeed('ls', ['-l', ...folders], { limitMs: 10_000 })
    }
    await succeed('dd', ['if=/dev/zero', `of=${livePath}`, 'bs=64k', 'count=1', 'oflag=direct', 'conv=notrunc'])
    assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
    assert.notEqual((await writing).status, 0)
    for (const { mountpoint } of mounts) assert.equal(await findMount(mountpoint), undefined)
  })
})

describe('a daemon whose worker hangs', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('ends in its time all the same', async () => {
    const sheep = await startLamb(stage)
    const mounts = [await tableOf(stage, MOUNT, sheep, [await sheep.createVdi(MIB)])]
    const daemon = await startSheepfsd(stage, { mounts, stopTimeoutS: 2 })
    process.kill(await daemon.workerPid(MOUNT), 'SIGSTOP')
    assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
    assert.match(daemon.log(), /by force/)
  })
})
