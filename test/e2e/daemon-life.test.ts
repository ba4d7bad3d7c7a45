import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { removeMount } from './stage/sheepfs.ts'
import {
  launchSheepfsd,
  newPlace,
  startSheepfsd,
  writeConfig,
  type MountTable,
  type Sheepfsd,
} from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const CLEAN_UP = join(import.meta.dirname, '../../src/cli/sheepfs-clean-up.js')
/** The stop timeout of the test and the bound that the man page gives for what comes on top of it, and a slow machine. */
const STOP_BOUND_MS = 20_000
const NEEDS = { skip: missing('fuse', 'root'), timeout: 180_000 }

async function tableOf(stage: Stage, name: string, sheep: Sheep, volumes: readonly string[]): Promise<MountTable> {
  return { name, mountpoint: await stage.mountpoint(), sheep: [addressText(sheep.address)], volumes }
}

/** What a process has started and not yet waited for. */
async function childrenOf(pid = 0): Promise<number[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean).map(Number)
}

/** Resolves when a process that is nobody's child here is gone. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await delay(20)
}

describe('a daemon that ends', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  test('leaves what was attached at run time to the next one', async () => {
    const [configured, added] = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    const mounts = [await tableOf(stage, MOUNT, sheep, [configured])]
    const extra = await stage.mountpoint()
    const first = await startSheepfsd(stage, { mounts })
    await first.client.attach(MOUNT, added, { read_only: true })
    await first.client.addMount({ name: 'extra', mountpoint: extra, sheep: [addressText(sheep.address)] })
    assert.equal(await first.stop(), 0)
    assert.equal(await findMount(extra), undefined)

    const second = await startSheepfsd(stage, { mounts, place: first.place })
    const volumes = await second.client.volumes(MOUNT)
    assert.deepEqual(
      new Map(volumes.map(({ name, read_only, configured: isConfigured }) => [name, [read_only, isConfigured]])),
      new Map([
        [configured, [false, true]],
        [added, [true, false]],
      ]),
    )
    assert.equal((await second.serving('extra')).configured, false)
    assert.equal(await second.stop(), 0)
  })

  test('leaves out of the next one what was attached at run time and is gone', async () => {
    const volume = await sheep.createVdi(MIB)
    const mounts = [await tableOf(stage, MOUNT, sheep, [volume])]
    const first = await startSheepfsd(stage, { mounts })
    await first.client.createVdi(MOUNT, { name: 'passing', size: MIB })
    await first.client.attach(MOUNT, 'passing', {})
    assert.equal(await first.stop(), 0)
    const between = await startSheepfsd(stage, { mounts: [{ ...mounts[0], name: 'other' } as MountTable] })
    await between.client.deleteVdi('other', 'passing')
    assert.equal(await between.stop(), 0)

    const second = await startSheepfsd(stage, { mounts, place: first.place })
    assert.deepEqual((await second.serving(MOUNT)).volumes, [volume])
    assert.match(second.log(), /"volume":"passing".*it is left out/)
    assert.equal(await second.stop(), 0)
  })

  test('by SIGKILL leaves a mount that the next one makes anew', async () => {
    const volume = await sheep.createVdi(MIB)
    const mounts = [await tableOf(stage, MOUNT, sheep, [volume])]
    const path = join(mounts[0]?.mountpoint ?? '', 'volume', volume)
    const first = await startSheepfsd(stage, { mounts })
    await succeed('dd', ['if=/dev/zero', `of=${path}`, 'bs=64k', 'count=1', 'conv=notrunc,fsync', 'status=none'])
    const gone = once(first.child, 'exit')
    first.child.kill('SIGKILL')
    await gone
    assert.notEqual(await findMount(mounts[0]?.mountpoint ?? ''), undefined)

    const second = await startSheepfsd(stage, { mounts, place: first.place })
    assert.match(second.log(), /predecessor/)
    await succeed('dd', [`if=${path}`, 'of=/dev/null', 'bs=64k', 'status=none'])
    assert.equal(await second.stop(), 0)
  })

  test('by SIGKILL takes its workers with it, which give back what they hold', async () => {
    const volume = await sheep.createVdi(MIB)
    const mounts = [await tableOf(stage, MOUNT, sheep, [volume])]
    const daemon = await startSheepfsd(stage, { mounts })
    const worker = await daemon.workerPid(MOUNT)
    daemon.child.kill('SIGKILL')
    await ended(worker)
    const next = await startSheepfsd(stage, { mounts, place: daemon.place })
    assert.deepEqual((await next.serving(MOUNT)).volumes, [volume])
    assert.equal(await next.stop(), 0)
  })

  test('by SIGKILL takes along a worker that does not serve yet', async () => {
    const silent = await startLamb(stage, ['--fault', 'silence,op=LOCK_VDI', '--fault', 'silence,op=GET_VDI_INFO'])
    const table = await tableOf(stage, MOUNT, silent, [await silent.createVdi(MIB)])
    const place = await newPlace(stage)
    await writeConfig(place, [table])
    const daemon = launchSheepfsd(stage, place, { mounts: [table] })
    while ((await childrenOf(daemon.child.pid)).length === 0 || (await findMount(table.mountpoint)) === undefined) {
      await delay(20)
    }
    const workers = await childrenOf(daemon.child.pid)
    daemon.child.kill('SIGKILL')
    for (const worker of workers) await ended(worker)
    await removeMount(table.mountpoint)
  })

  test('leaves mounts that can be cleaned up also where fusectl is not mounted', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, [])]
    const daemon = await startSheepfsd(stage, { mounts })
    const gone = once(daemon.child, 'exit')
    daemon.child.kill('SIGKILL')
    await gone
    const script = 'umount -a -t fusectl; "$@" && ! findmnt "$0"'
    const command = ['env', `SHEEPFS_CONFIG=${daemon.place.configFile}`, process.execPath, CLEAN_UP, 'test']
    await succeed('unshare', ['--mount', 'sh', '-c', script, mounts[0]?.mountpoint ?? '', ...command])
    await removeMount(mounts[0]?.mountpoint ?? '')
  })

  test('while it starts leaves nothing mounted', async () => {
    const silent = await startLamb(stage, ['--fault', 'silence,op=LOCK_VDI', '--fault', 'silence,op=GET_VDI_INFO'])
    const table = await tableOf(stage, MOUNT, silent, [await silent.createVdi(MIB)])
    const place = await newPlace(stage)
    await writeConfig(place, [table])
    const daemon = launchSheepfsd(stage, place, { mounts: [table] })
    while ((await findMount(table.mountpoint)) === undefined) await delay(20)
    assert.equal(await daemon.stop(), 0)
    assert.equal(await findMount(table.mountpoint), undefined)
  })

  test('is the only one of its instance while it lives', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, [])]
    const first = await startSheepfsd(stage, { mounts })
    const second = launchSheepfsd(stage, first.place, { mounts: [] })
    assert.deepEqual(await once(second.child, 'exit'), [1, null])
    assert.match(second.log(), /control\.sock/)
    assert.equal((await first.client.health()).status, 'ok')
    assert.equal(await first.stop(), 0)
  })
})

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
    await writeConfig(daemon.place, [mounts[0], { ...mounts[1], volumes: [right] }] as MountTable[])
    daemon.child.kill('SIGHUP')
    await daemon.logged('"msg":"reloaded"')
    assert.deepEqual((await daemon.serving('late')).volumes, [right])
    assert.equal(await daemon.stop(), 0)
  })
})

async function stateOf(daemon: Sheepfsd, mount: string): Promise<string> {
  return (await daemon.client.mount(mount)).state
}

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

describe('a daemon whose worker hangs', NEEDS, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('ends in its time all the same', async () => {
    const sheep = await startLamb(stage)
    const mounts = [await tableOf(stage, MOUNT, sheep, [await sheep.createVdi(MIB)])]
    const daemon = await startSheepfsd(stage, { mounts, stopTimeoutS: 2 })
    process.kill(await daemon.workerPid(MOUNT), 'SIGSTOP')
    assert.equal(await daemon.stop(STOP_BOUND_MS), 0)
    assert.match(daemon.log(), /by force/)
  })
})

describe('a daemon that is told to reload', NEEDS, () => {
  const stage = new Stage()
  let volumes: readonly string[]
  let table: MountTable
  let daemon: Sheepfsd
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
    volumes = [await sheep.createVdi(MIB), await sheep.createVdi(MIB)]
    table = await tableOf(stage, MOUNT, sheep, volumes.slice(0, 1))
    daemon = await startSheepfsd(stage, { mounts: [table] })
  })
  after(() => stage.close())

  async function reload(message: string): Promise<void> {
    const from = daemon.log().length
    daemon.child.kill('SIGHUP')
    await daemon.logged(message, from)
  }

  test('changes nothing when the configuration is wrong, and says where', async () => {
    const before = await daemon.client.mounts()
    await writeConfig(daemon.place, [{ ...table, page_cach: true, volumes }])
    await reload('page_cach')
    assert.deepEqual(await daemon.client.mounts(), before)
    await writeFile(daemon.place.configFile, 'mount = nonsense')
    await reload('not TOML')
    assert.deepEqual(await daemon.client.mounts(), before)
    assert.equal((await daemon.client.status()).state, 'running')
  })

  test('goes back when a step fails', async () => {
    const before = await daemon.client.mounts()
    await writeConfig(daemon.place, [{ ...table, page_cache: true, volumes: [...volumes, 'nosuch'] }])
    await reload('not reloaded')
    assert.deepEqual(await daemon.client.mounts(), before)
  })

  test('applies what is different', async () => {
    const { worker } = await daemon.serving(MOUNT)
    const other = await tableOf(stage, 'other', sheep, [])
    stage.defer(() => daemon.stop())
    await writeConfig(daemon.place, [{ ...table, page_cache: true, volumes }, other])
    await reload('"msg":"reloaded"')
    const mount = await daemon.serving(MOUNT)
    assert.deepEqual([mount.volumes, mount.page_cache, mount.worker], [volumes, true, worker])
    assert.deepEqual(await readdir(join(other.mountpoint, 'volume')), [])

    await writeConfig(daemon.place, [{ ...table, volumes: volumes.slice(1) }])
    await reload('"msg":"reloaded"')
    assert.deepEqual(
      (await daemon.client.mounts()).map(({ name, volumes: attached }) => [name, attached]),
      [[MOUNT, volumes.slice(1)]],
    )
    assert.equal(await findMount(other.mountpoint), undefined)
  })
})
