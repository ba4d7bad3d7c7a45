import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { findMount } from '../../src/fuse/mount-table.ts'
import { BAD_CONFIGS } from '../daemon/bad-configs.ts'
import { missing } from './stage/ability.ts'
import { run, succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import {
  launchSheepfsd,
  newPlace,
  SHEEPFSD,
  startSheepfsd,
  tableOf,
  WORKER_USER,
  writeConfig,
  type MountTable,
  type Sheepfsd,
} from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const NO_MOUNTS = { mounts: [] }
const IS_THE_WORKERS = new RegExp(
  `socket_group "\\w+" is the group of the workers, which run as "${WORKER_USER}": expected`,
)
const REFUSED_GROUPS = [
  [WORKER_USER, IS_THE_WORKERS],
  [(await succeed('id', ['-g', WORKER_USER])).trim(), IS_THE_WORKERS],
  ['nosuch', /socket_group "nosuch" does not exist/],
] as const
const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }

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
    for (const [text, ...expected] of BAD_CONFIGS) {
      await writeFile(daemon.place.configFile, text)
      const from = daemon.log().length
      await reload('"msg":"not reloaded: ')
      const said = refusalOf(daemon.log().slice(from))
      for (const pattern of expected) assert.match(said, asInstance(pattern))
      assert.deepEqual(await daemon.client.mounts(), before)
    }
    assert.equal((await daemon.client.status()).state, 'running')
  })

  test('does not take the group of the workers for its socket, nor one that is not there', async () => {
    const before = await daemon.client.mounts()
    await writeConfig(daemon.place, [table])
    const config = await readFile(daemon.place.configFile, 'utf8')
    for (const [group, said] of REFUSED_GROUPS) {
      await writeFile(daemon.place.configFile, `socket_group = "${group}"\n${config}`)
      await assert.rejects(daemon.client.reload(), { code: 'invalid', message: said })
      assert.deepEqual(await daemon.client.mounts(), before)
      const other = launchSheepfsd(
        stage,
        { ...(await newPlace(stage)), configFile: daemon.place.configFile },
        NO_MOUNTS,
      )
      await once(other.child, 'close')
      assert.equal(other.child.exitCode, 2)
      assert.match(other.log(), said)
    }
    await writeFile(daemon.place.configFile, config)
  })

  test('takes a group that is there for its observers, and says that it takes a restart', async () => {
    const config = await readFile(daemon.place.configFile, 'utf8')
    const observers = (group: string) => `observer_socket = true\nobserver_group = "${group}"\n${config}`
    await writeFile(daemon.place.configFile, observers('nosuch'))
    await assert.rejects(daemon.client.reload(), { code: 'invalid', message: /observer_group "nosuch" does not exist/ })
    await writeFile(daemon.place.configFile, observers('daemon'))
    const { steps } = await daemon.client.reload({ isDryRun: true })
    assert.deepEqual(
      steps.map(({ effect, text }) => [effect, text]),
      [['daemon-restart', 'observer_socket opened for the group daemon']],
    )
    const place = { ...(await newPlace(stage)) }
    await writeConfig(place, [], 'observer_socket = true\nobserver_group = "daemon"\n')
    const other = launchSheepfsd(stage, place, NO_MOUNTS)
    await other.logged('"msg":"ready"')
    const { mode, gid } = await stat(join(place.runtimeDirectory, 'test', 'observer.sock'))
    const wanted = Number((await succeed('id', ['-g', 'daemon'])).trim())
    assert.deepEqual([mode & 0o777, gid], [0o660, wanted])
    await writeFile(daemon.place.configFile, config)
  })

  test('has metrics read over TCP after a restart, from an address that nobody else has', async (t) => {
    const config = await readFile(daemon.place.configFile, 'utf8')
    t.after(() => writeFile(daemon.place.configFile, config))
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const listen = `metrics_listen = "127.0.0.1:${port}"\n`
    await writeFile(daemon.place.configFile, listen + config)
    const busy = new RegExp(`metrics_listen "127\\.0\\.0\\.1:${port}": another program listens there`)
    await assert.rejects(daemon.client.reload(), { code: 'busy', message: busy })
    const place = await newPlace(stage)
    await writeConfig(place, [], listen)
    const refused = launchSheepfsd(stage, place, NO_MOUNTS)
    await once(refused.child, 'close')
    assert.match(refused.log(), busy)
    taken.close()
    await once(taken, 'close')
    assert.deepEqual((await daemon.client.reload({ isDryRun: true })).steps, [
      { mount: null, effect: 'daemon-restart', text: `metrics_listen 127.0.0.1:${port}` },
    ])
    const other = launchSheepfsd(stage, place, NO_MOUNTS)
    await other.logged('"msg":"ready"')
    assert.match(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(), /^sheepfs_build_info\{/m)
    assert.equal((await other.client.status()).metrics_listen, `127.0.0.1:${port}`)
    // what it has itself is in nobody's way
    assert.deepEqual((await other.client.reload()).steps, [])
    const variables = { ...process.env, SHEEPFS_RUNTIME_DIR: place.runtimeDirectory, SHEEPFS_CONFIG: place.configFile }
    const check = await run(process.execPath, [SHEEPFSD, '--check', 'test'], { env: variables })
    assert.doesNotMatch(check.stdout, /metrics_listen/)
    assert.equal(await other.stop(), 0)
    await assert.rejects(fetch(`http://127.0.0.1:${port}/metrics`))
  })

  test('says beforehand what it would do, and does none of it', async () => {
    const before = await daemon.client.mounts()
    await writeConfig(daemon.place, [{ ...table, page_cache: true, allow_other: true }])
    const { steps } = await daemon.client.reload({ isDryRun: true })
    const text = `unmounted, then mounted at ${table.mountpoint} for another allow_other`
    assert.deepEqual(steps, [{ mount: MOUNT, effect: 'unmount', text }])
    const file = await open(join(table.mountpoint, 'volume', volumes[0] ?? ''))
    const [step] = (await daemon.client.reload({ isDryRun: true })).steps
    await file.close()
    assert.equal(step?.text, `${text}; 1 open, so the reload would be refused`)
    await writeConfig(daemon.place, [{ ...table, page_cach: true }])
    await assert.rejects(daemon.client.reload({ isDryRun: true }), { code: 'invalid', message: /page_cach: unknown/ })
    assert.deepEqual(await daemon.client.mounts(), before)
  })

  test('unmounts nothing when there is no place to mount it', async () => {
    const [before] = await daemon.client.mounts()
    const mountpoint = join(await stage.folder(), 'missing')
    await writeConfig(daemon.place, [{ ...table, mountpoint }])
    await assert.rejects(daemon.client.reload(), { code: 'not-found', message: /missing" does not exist/ })
    const [after] = await daemon.client.mounts()
    assert.deepEqual([after?.worker, after?.since], [before?.worker, before?.since])
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

  test('tells who asks through the API when it is done, or why it is not', async () => {
    await writeConfig(daemon.place, [{ ...table, volumes }])
    await daemon.client.reload()
    assert.deepEqual((await daemon.serving(MOUNT)).volumes.toSorted(), volumes.toSorted())
    await writeConfig(daemon.place, [{ ...table, page_cach: true }])
    await assert.rejects(daemon.client.reload(), { code: 'invalid', message: /^not reloaded: .*page_cach/ })
    assert.equal((await daemon.client.status()).state, 'running')
  })

  test('while it reloads does so once more afterwards, with what the file has come to', async () => {
    await writeConfig(daemon.place, [{ ...table, volumes: [] }])
    const from = daemon.log().length
    const first = daemon.client.reload()
    await daemon.logged('"change":"detach"', from)
    await writeConfig(daemon.place, [{ ...table, volumes: volumes.slice(1) }])
    await Promise.all([first, daemon.client.reload()])
    assert.deepEqual((await daemon.serving(MOUNT)).volumes, volumes.slice(1))
  })
})

/** The message of a reload that was refused, out of the log. */
function refusalOf(log: string): string {
  const line = log.split('\n').find((text) => text.includes('"msg":"not reloaded: ')) ?? assert.fail(log)
  return (JSON.parse(line) as { msg: string }).msg
}

/** The table is of an instance cluster1. */
function asInstance({ source }: RegExp): RegExp {
  return new RegExp(source.replaceAll('cluster1', 'test'))
}
