import assert from 'node:assert/strict'
import { once } from 'node:events'
import { open, readdir, readFile, readlink } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { RECORD_ROOM } from '../../src/daemon/mount/mount-record.ts'
import { usualWorkerAccount } from '../../src/daemon/config/worker-account.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { headerOf } from '../adversary/lie.ts'
import { RewritingProxy } from '../adversary/rewriting-proxy.ts'
import { missing } from './stage/ability.ts'
import { run, succeed, type Outcome } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { removeMount, SHEEPFS, sheepfsArguments, startSheepfs, workersOf } from './stage/sheepfs.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, WORKER_USER, writeConfig } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MOUNT = 'm'

/** Real, effective, saved and file-system ids, and the supplementary groups. */
async function rightsOf(pid: number): Promise<{ uids: string; gids: string; groups: string }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): string => new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(status)?.[1] ?? ''
  return { uids: field('Uid'), gids: field('Gid'), groups: field('Groups') }
}

function fourTimes(id: string): string {
  return Array<string>(4).fill(id.trim()).join('\t')
}

describe('the user of workers', { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  for (const user of ['nobody', 'root']) {
    test(`is "${user}" in its primary group and no other, when that is asked for`, async () => {
      const daemon = await startSheepfsd(stage, {
        mounts: [await tableOf(stage, MOUNT, sheep, [])],
        workerUser: user,
      })
      const [uid, gid] = [await succeed('id', ['-u', user]), await succeed('id', ['-g', user])]
      assert.deepEqual(await rightsOf(await daemon.workerPid(MOUNT)), {
        uids: fourTimes(uid),
        gids: fourTimes(gid),
        groups: '',
      })
      await daemon.stop()
    })
  }

  test('has no way to more rights, to a core, to a long file or to the service manager', async () => {
    const variables = { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '0', SHEEPFS_TEST_KEPT: '1' }
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [])], variables })
    const of = (file: string): Promise<string> => readFile(`/proc/${pid}/${file}`, 'utf8')
    const pid = await daemon.workerPid(MOUNT)
    assert.match(await of('status'), /^NoNewPrivs:\t1$/m)
    assert.match(await of('limits'), /^Max core file size +0 +0 /m)
    assert.match(await of('limits'), new RegExp(`^Max file size +${RECORD_ROOM} +${RECORD_ROOM} `, 'm'))
    const environment = await of('environ')
    assert.match(environment, /SHEEPFS_TEST_KEPT=1/)
    assert.doesNotMatch(environment, /NOTIFY_SOCKET|WATCHDOG_/)
    for (const fd of [0, 1]) assert.equal(await readlink(`/proc/${pid}/fd/${fd}`), '/dev/null')
    for (const file of ['mem', 'environ', 'fd/3']) {
      const read = ['head', '-c', '1', `/proc/${pid}/${file}`] // as another worker
      const { stderr } = await run('setpriv', [`--reuid=${WORKER_USER}`, '--clear-groups', ...read])
      assert.match(stderr, /Permission denied/)
    }
    await daemon.stop()
  })

  test('can end it, and another user cannot: it is replaced', async () => {
    const daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [])] })
    const { worker } = await daemon.serving(MOUNT)
    const killAs = (user: string): Promise<Outcome> =>
      run('setpriv', [`--reuid=${user}`, '--clear-groups', 'sh', '-c', `kill -KILL ${worker.pid}`])
    assert.match((await killAs('nobody')).stderr, /not permitted/i)
    assert.equal((await killAs(WORKER_USER)).status, 0)
    await daemon.serving(MOUNT, worker.generation + 1)
    await daemon.stop()
  })

  test('who has the files of a tree uses its volumes, and attaches or switches nothing', async () => {
    const [volume, other] = [await sheep.createVdi(2 ** 20), await sheep.createVdi(2 ** 20)]
    const table = await tableOf(stage, MOUNT, sheep, [volume])
    const daemon = await startSheepfsd(stage, { mounts: [{ ...table, uid: 'nobody', allow_other: true }] })
    const as = (user: string, script: string): Promise<Outcome> =>
      run('setpriv', [`--reuid=${user}`, '--clear-groups', 'sh', '-c', `cd ${table.mountpoint} && ${script}`])
    assert.equal((await as('nobody', `dd if=/dev/zero of=volume/${volume} bs=512 count=1 conv=notrunc`)).status, 0)
    assert.equal((await as('nobody', 'cat cluster/info vdi/list config/page_cache vdi/mount')).status, 0)
    for (const script of [
      `echo ${other} >vdi/mount`,
      `echo ${volume} >vdi/unmount`,
      'echo 1 >config/page_cache',
      'echo 1 >config/object_cache',
      'echo 127.0.0.1:1 >config/sheep_info',
      'chown nobody vdi/mount',
      'chmod 666 vdi/mount',
      'truncate -s 0 config/sheep_info',
      'rm -f vdi/mount',
    ]) {
      const { status, stderr } = await as('nobody', script)
      assert.notEqual(status, 0, script)
      assert.match(stderr, /Permission denied|not permitted/, script)
    }
    assert.deepEqual((await daemon.client.mount(MOUNT)).volumes, [volume])
    assert.equal((await as('root', `echo ${other} >vdi/mount`)).status, 0)
    assert.deepEqual((await daemon.client.mount(MOUNT)).volumes.toSorted(), [volume, other].toSorted())
    await daemon.stop()
  })

  for (const user of ['no-such-user', '65534', '../x', '-h']) {
    test(`is not root instead of "${user}", which is none: the daemon does not start`, async () => {
      const place = await newPlace(stage)
      await writeConfig(place, [await tableOf(stage, MOUNT, sheep, [])])
      const daemon = launchSheepfsd(stage, place, { mounts: [], workerUser: user })
      await once(daemon.child, 'close')
      assert.equal(daemon.child.exitCode, 2)
      assert.ok(daemon.log().includes(`SHEEPFS_WORKER_USER: there is no user "${user}"`), daemon.log())
      assert.ok(!daemon.log().includes('"msg":"ready"'))
    })
  }
})

/** What the process has connected by TCP, as the kernel counts sockets. */
async function connectionsOf(pid: number): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`)
  const files = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8')))
  const lines = tables.join('\n').split('\n')
  const sockets = new Set(lines.map((line) => `socket:[${line.trim().split(/\s+/)[9] ?? ''}]`))
  return files.filter((file) => sockets.has(file))
}

describe('a sheepfs that root runs', { skip: missing('fuse', 'root'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let volume: string
  before(async () => {
    sheep = await startLamb(stage)
    volume = await sheep.createVdi(2 ** 20)
  })
  after(() => stage.close())

  async function isWithoutRights(supervisor: number, user: { uid: number; gid: number }): Promise<void> {
    const [pid = 0] = await workersOf(supervisor)
    const [uids, gids] = [fourTimes(String(user.uid)), fourTimes(String(user.gid))]
    assert.deepEqual(await rightsOf(pid), { uids, gids, groups: '' })
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    for (const kind of ['Inh', 'Prm', 'Eff', 'Amb']) assert.match(status, new RegExp(`^Cap${kind}:\t0{16}$`, 'm'))
    assert.match(status, /^NoNewPrivs:\t1$/m)
    assert.match(await readFile(`/proc/${pid}/limits`, 'utf8'), /^Max core file size +0 +0 /m)
    assert.notDeepEqual(await connectionsOf(pid), [])
    assert.deepEqual(await connectionsOf(supervisor), [], 'the process of root hears nothing of the cluster')
  }

  test('has a worker without its rights, which alone speaks to the cluster', async () => {
    const sheepfs = await startSheepfs(stage, { sheep, attach: [volume] })
    await isWithoutRights(sheepfs.child.pid ?? 0, await usualWorkerAccount())
    await succeed('dd', ['if=/dev/zero', `of=${sheepfs.volume(volume)}`, 'bs=64k', 'count=1', 'conv=notrunc,fsync'])
    await succeed('cat', [sheepfs.path('cluster', 'info'), sheepfs.path('vdi', 'list'), sheepfs.path('node', 'list')])
    assert.match(await succeed('ls', ['-ln', sheepfs.path('volume')]), /^-rw------- 1 0 /m)
    await sheepfs.stop()
  })

  test('has one in the background too, as the user that is asked for', async () => {
    const mountpoint = await stage.mountpoint()
    stage.defer(() => removeMount(mountpoint))
    const sheepfs = [process.execPath, ...sheepfsArguments({ sheep }), mountpoint]
    await succeed('env', [`SHEEPFS_WORKER_USER=${WORKER_USER}`, ...sheepfs])
    const [uid, gid] = [await succeed('id', ['-u', WORKER_USER]), await succeed('id', ['-g', WORKER_USER])]
    const [pid = ''] = (await succeed('pgrep', ['-f', `background-process.js .*"${mountpoint}"`])).split('\n')
    await isWithoutRights(Number(pid), { uid: Number(uid), gid: Number(gid) })
    await succeed('umount', [mountpoint])
    await succeed('tail', ['--pid', pid, '-f', '/dev/null'], { limitMs: 20_000 })
  })

  test('serves on under what is open when its worker dies', async () => {
    const sheepfs = await startSheepfs(stage, { sheep, attach: [volume] })
    const file = await open(sheepfs.volume(volume), 'r+')
    await file.write('kept', 0)
    await file.datasync()
    process.kill(await sheepfs.workerPid(), 'SIGKILL')
    assert.equal((await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.toString(), 'kept')
    await file.close()
    assert.equal(sheepfs.child.exitCode, null)
    await sheepfs.stop()
  })

  test('outlives a cluster that lies', async (context) => {
    const proxy = await RewritingProxy.start(context, sheep.address)
    const sheepfs = await startSheepfs(stage, { sheep: proxy })
    const info = await succeed('cat', [sheepfs.path('cluster', 'info')])
    const lied = new Promise<void>((resolve) => {
      proxy.lie = (answer) => {
        resolve()
        return [headerOf(answer, 2 ** 32 - 1)]
      }
    })
    const list = run('cat', [sheepfs.path('vdi', 'list')])
    await lied
    proxy.lie = undefined
    proxy.cutAll()
    await list
    assert.equal(await succeed('cat', [sheepfs.path('cluster', 'info')]), info)
    assert.deepEqual(await connectionsOf(sheepfs.child.pid ?? 0), [])
    await sheepfs.stop()
  })

  const refusals = [
    ['no-such-user', 'kernel', /there is no user "no-such-user"/],
    ['-h', 'kernel', /there is no user "-h"/],
    ['nobody', 'fuse-native', /engine fuse-native would serve the mount with the rights of root/],
    ['', 'fuse-native', /engine fuse-native would serve the mount with the rights of root/],
  ] as const
  for (const [user, engine, reason] of refusals) {
    test(`mounts nothing when its worker would be root: user "${user}", engine ${engine}`, async () => {
      const mountpoint = await stage.mountpoint()
      const sheepfs = [process.execPath, ...sheepfsArguments({ sheep, engine }), mountpoint]
      const { status, stderr } = await run('env', [`SHEEPFS_WORKER_USER=${user}`, ...sheepfs])
      assert.equal(status, 2)
      assert.match(stderr, reason)
      assert.equal(await findMount(mountpoint), undefined)
    })
  }

  test('says what is missing where nothing can be mounted', async () => {
    const { host, port } = sheep.address
    const sheepfs = [process.execPath, SHEEPFS, '-a', host, '-p', String(port), await stage.mountpoint()]
    const script = 'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$@"'
    const { status, stderr } = await run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...sheepfs])
    assert.equal(status, 1)
    assert.match(stderr, /^sheepfs: \/dev\/fuse is missing/)
  })

  test('keeps its rights when that is asked for', async () => {
    const sheepfs = await startSheepfs(stage, { sheep, prefix: ['env', 'SHEEPFS_WORKER_USER=root'] })
    assert.equal((await rightsOf(await sheepfs.workerPid())).uids, fourTimes('0'))
    await sheepfs.stop()
  })
})
