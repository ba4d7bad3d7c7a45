import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { abortConnection } from '../../src/fuse/abort-connection.ts'
import { findMount } from '../../src/fuse/mount-table.ts'
import { missing } from './stage/ability.ts'
import { startLamb, type Sheep } from './stage/sheep.ts'
import { launchSheepfsd, newPlace, startSheepfsd, tableOf, writeConfig, type Sheepfsd } from './stage/sheepfsd.ts'
import { SlowProgram } from './stage/slow-program.ts'
import { Stage } from './stage/stage.ts'

const MOUNT = 'm'
const SLOW_S = 1
/** Less than a stop that ends by force takes. */
const STOP_BOUND_MS = 15_000
const NEEDS = { skip: missing('fuse', 'root'), timeout: 300_000 }

describe('a daemon that is told to end at a bad moment', NEEDS, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startLamb(stage)
  })
  after(() => stage.close())

  async function endsInTime(daemon: Sheepfsd, mountpoints: readonly string[]): Promise<void> {
    assert.equal(await daemon.stop(STOP_BOUND_MS), 0, daemon.log())
    for (const mountpoint of mountpoints) assert.equal(await findMount(mountpoint), undefined)
  }

  test('before it listens does not begin to serve', async () => {
    const table = await tableOf(stage, MOUNT, sheep, [])
    const getent = await SlowProgram.make(stage, 'getent', SLOW_S)
    const place = await newPlace(stage)
    await writeConfig(place, [table])
    await writeFile(place.configFile, `socket_group = "root"\n${await readFile(place.configFile, 'utf8')}`)
    const daemon = launchSheepfsd(stage, place, { mounts: [table], programs: getent.folder })
    await getent.called()
    await endsInTime(daemon, [table.mountpoint])
  })

  test('while it mounts leaves nothing mounted', async () => {
    const table = await tableOf(stage, MOUNT, sheep, [])
    const mount = await SlowProgram.make(stage, 'mount', SLOW_S)
    const place = await newPlace(stage)
    await writeConfig(place, [table])
    const daemon = launchSheepfsd(stage, place, { mounts: [table], programs: mount.folder })
    await mount.called()
    await endsInTime(daemon, [table.mountpoint])
  })

  test('while it makes an aborted mount anew leaves nothing mounted', async () => {
    const table = await tableOf(stage, MOUNT, sheep, [])
    const mount = await SlowProgram.make(stage, 'mount', SLOW_S)
    const daemon = await startSheepfsd(stage, { mounts: [table], programs: mount.folder })
    assert.ok(await abortConnection((await findMount(table.mountpoint))?.minor ?? 0))
    await mount.called(2)
    await endsInTime(daemon, [table.mountpoint])
  })

  test('while it reloads does not go on with that', async () => {
    const [table, other] = [await tableOf(stage, MOUNT, sheep, []), await tableOf(stage, 'other', sheep, [])]
    const mount = await SlowProgram.make(stage, 'mount', SLOW_S)
    const daemon = await startSheepfsd(stage, { mounts: [table], programs: mount.folder })
    await writeConfig(daemon.place, [table, other])
    daemon.child.kill('SIGHUP')
    await mount.called(2)
    await endsInTime(daemon, [table.mountpoint, other.mountpoint])
  })
})
