import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, writeConfig } from './stage/sheepfsd.ts'
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
