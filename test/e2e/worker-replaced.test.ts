import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { startSheepfsd, tableOf, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const NEEDS = { skip: missing('fuse', 'root'), timeout: 300_000 }
const MIB = 2 ** 20
const MOUNT = 'm'
/** When the worker is killed, ms after a request was sent: from before it has it until after it has answered. */
const MOMENTS_MS = [0, 3, 6, 10, 15, 20, 30, 45]

describe('a request in whose middle the worker dies', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  let daemon: Sheepfsd
  before(async () => {
    sheep = await startLamb(stage, ['--locking', '--delay', '4'])
    daemon = await startSheepfsd(stage, { mounts: [await tableOf(stage, MOUNT, sheep, [])] })
  })
  after(() => stage.close())

  /** Kills the worker `ms` after `request` was sent; resolves with the outcome. */
  async function interrupted<T>(ms: number, request: () => Promise<T>): Promise<T> {
    await daemon.serving(MOUNT)
    await daemon.client.restartMount(MOUNT) // else so many deaths are a mount that has failed
    const pid = await daemon.workerPid(MOUNT)
    const outcome = request()
    await delay(ms)
    process.kill(pid, 'SIGKILL')
    return outcome
  }

  test('attaches and detaches by its successor, and leaves no lock', async () => {
    for (const ms of MOMENTS_MS) {
      const volume = await sheep.createVdi(MIB)
      const { volume: attached } = await interrupted(ms, () => daemon.client.attach(MOUNT, volume, {}))
      assert.equal(attached.locked, true)
      await interrupted(ms, () => daemon.client.detach(MOUNT, volume, false))
      assert.deepEqual(await daemon.client.volumes(MOUNT), [])
      // another attach would be refused while anybody holds the lock
      await daemon.client.attach(MOUNT, volume, {})
      await daemon.client.detach(MOUNT, volume, false)
    }
  })

  test('says that a snapshot may have been made, and gives the lock of a delete back', async () => {
    const volume = await sheep.createVdi(MIB)
    for (const ms of MOMENTS_MS) {
      const tag = `after-${ms}`
      const made = await interrupted(ms, () => daemon.client.snapshotVdi(MOUNT, volume, { tag })).then(
        () => true,
        (error: unknown) => {
          assert.match(String(error), /it may have been done: look with/)
          return undefined
        },
      )
      const isThere = (await daemon.client.vdis(MOUNT)).some((vdi) => vdi.tag === tag && vdi.snapshot)
      if (made === true) assert.ok(isThere)
      const { name } = await daemon.client.createVdi(MOUNT, { name: `gone-${ms}`, size: MIB })
      await interrupted(ms, () => daemon.client.deleteVdi(MOUNT, name)).catch(() => undefined)
      await daemon.client.deleteVdi(MOUNT, name).catch((error: unknown) => {
        assert.match(String(error), /does not exist/)
      })
    }
  })
})
