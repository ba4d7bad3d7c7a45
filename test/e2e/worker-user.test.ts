import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, readlink } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { RECORD_ROOM } from '../../src/daemon/mount/mount-record.ts'
import { missing } from './stage/ability.ts'
import { run, succeed, type Outcome } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
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
