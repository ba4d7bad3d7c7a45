import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { type Outcome, run, succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { removeMount } from './stage/sheepfs.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, writeConfig } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'
const SAVED_STATES = join(import.meta.dirname, '../../../test/daemon/saved-states')
const CLEAN_UP = join(import.meta.dirname, '../../src/cli/sheepfs-clean-up.js')
const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }

/** What a process has started and not yet waited for. */
async function childrenOf(pid = 0): Promise<number[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').filter(Boolean).map(Number)
}

/** Resolves when a process that is nobody's child here is gone. */
async function ended(pid: number): Promise<void> {
  while (existsSync(`/proc/${pid}`)) await delay(20)
}
const SHEEPFSCTL = join(import.meta.dirname, '../../src/cli/sheepfsctl.js')

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
    const between = await startSheepfsd(stage, { mounts: mounts.map((table) => ({ ...table, name: 'other' })) })
    await between.client.deleteVdi('other', 'passing')
    assert.equal(await between.stop(), 0)

    const second = await startSheepfsd(stage, { mounts, place: first.place })
    assert.deepEqual((await second.serving(MOUNT)).volumes, [volume])
    assert.match(second.log(), /"volume":"passing".*it is left out/)
    assert.equal(await second.stop(), 0)
  })

  for (const version of ['0.1.0', 'version-2']) {
    test(`leaves a state that this version takes over: written by ${version}`, async () => {
      const [table, added] = [await tableOf(stage, MOUNT, sheep, []), await stage.mountpoint()]
      const place = await newPlace(stage)
      const volume = await sheep.createVdi(MIB)
      const state = (await readFile(join(SAVED_STATES, `${version}.json`), 'utf8'))
        .replaceAll('127.0.0.1:7000', addressText(sheep.address))
        .replaceAll('"/srv/added"', JSON.stringify(added))
        .replaceAll('"name": "v"', `"name": ${JSON.stringify(volume)}`)
      await mkdir(join(place.runtimeDirectory, 'test'))
      await writeFile(join(place.runtimeDirectory, 'test/state.json'), state)
      const daemon = await startSheepfsd(stage, { mounts: [table], place })
      stage.defer(() => removeMount(added))
      const { mountpoint, configured, volumes } = await daemon.serving('added')
      assert.deepEqual([mountpoint, configured, volumes], [added, false, [volume]])
      assert.equal((await stat(join(added, 'volume', volume))).size, MIB)
      assert.equal(await daemon.stop(), 0)
    })
  }

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

  test('by SIGKILL leaves a mount that the next one makes anew where the mountpoint is a symbolic link', async () => {
    const table = await tableOf(stage, MOUNT, sheep, [])
    const link = join(await stage.folder(), 'link')
    await symlink(table.mountpoint, link)
    const mounts = [{ ...table, mountpoint: link }]
    const first = await startSheepfsd(stage, { mounts })
    const gone = once(first.child, 'exit')
    first.child.kill('SIGKILL')
    await gone
    const second = await startSheepfsd(stage, { mounts, place: first.place })
    assert.equal(await second.stop(), 0)
    assert.equal(await findMount(table.mountpoint), undefined)
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
    const table = await tableOf(stage, MOUNT, sheep, [])
    const added = await stage.mountpoint()
    const daemon = await startSheepfsd(stage, { mounts: [table] })
    await daemon.client.addMount({ name: 'added', mountpoint: added, sheep: [addressText(sheep.address)] })
    const gone = once(daemon.child, 'exit')
    daemon.child.kill('SIGKILL')
    await gone
    const script = 'umount -a -t fusectl; "$@" && ! findmnt "$0" && ! findmnt "$SHEEPFS_TEST_ADDED"'
    const { configFile, runtimeDirectory } = daemon.place
    const variables = [`SHEEPFS_CONFIG=${configFile}`, `SHEEPFS_RUNTIME_DIR=${runtimeDirectory}`]
    const command = ['env', ...variables, process.execPath, CLEAN_UP, 'test']
    const inside = ['--mount', 'env', `SHEEPFS_TEST_ADDED=${added}`, 'sh', '-c', script, table.mountpoint, ...command]
    await succeed('unshare', inside)
    await removeMount(table.mountpoint)
    await removeMount(added)
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

  test('by hand says in its log, its status and to the doctor what ends with it', async () => {
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [])] })
    const said = 'systemd has not started the daemon: mounts, and all that is open in them, end with the daemon'
    assert.ok(daemon.log().includes(said))
    assert.match((await daemon.client.status()).lacks?.[0]?.mend ?? '', /^systemctl start/)
    const place = [`SHEEPFS_CONFIG=${daemon.place.configFile}`, `SHEEPFS_RUNTIME_DIR=${daemon.place.runtimeDirectory}`]
    const ask = (command: string): Promise<Outcome> =>
      run('env', [...place, process.execPath, SHEEPFSCTL, '--instance', 'test', command])
    assert.ok((await ask('status')).stdout.includes(`\n${said}`))
    assert.ok((await ask('doctor')).stdout.includes(`WARNING  host: ${said}`))
    assert.equal(await daemon.stop(), 0)
    assert.match((await ask('doctor')).stdout, /^(?:ok|WARNING) +host: /m) // of what the unit would have
  })

  test('is the only one of its instance also when several start at the same moment', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, [])]
    const place = await newPlace(stage)
    await writeConfig(place, mounts)
    const all = Array.from({ length: 4 }, () => launchSheepfsd(stage, place, { mounts }))
    const ended = await Promise.all(
      all.map((daemon) =>
        Promise.race([once(daemon.child, 'exit'), daemon.logged('"msg":"ready"').catch(() => 'ended')]),
      ),
    )
    assert.equal(ended.filter((end) => end === undefined).length, 1)
    const first = all[ended.indexOf(undefined)]
    await Promise.all(
      all
        .filter((daemon) => daemon !== first && daemon.child.exitCode === null)
        .map(({ child }) => once(child, 'exit')),
    )
    assert.deepEqual(
      all.filter((daemon) => daemon !== first).map(({ child }) => child.exitCode),
      [1, 1, 1],
    )
    assert.equal((await first?.client.health())?.status, 'ok')
    assert.equal(await first?.stop(), 0)
  })

  test('is the only one of its instance while it lives', async () => {
    const mounts = [await tableOf(stage, MOUNT, sheep, [])]
    const first = await startSheepfsd(stage, { mounts })
    const second = launchSheepfsd(stage, first.place, { mounts: [] })
    assert.deepEqual(await once(second.child, 'exit'), [1, null])
    assert.ok(second.log().includes(`instance "test" has a daemon already: pid ${first.child.pid}`), second.log())
    const place = [`SHEEPFS_CONFIG=${first.place.configFile}`, `SHEEPFS_RUNTIME_DIR=${first.place.runtimeDirectory}`]
    const cleanUp = await run('env', [...place, process.execPath, CLEAN_UP, 'test']) // as systemd does for the second
    assert.match(cleanUp.stderr, /has a daemon already/)
    assert.equal((await first.client.health()).status, 'ok')
    assert.equal(await first.stop(), 0)
  })
})
