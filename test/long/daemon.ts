// The daemon under load at full length. See README.md in this folder.
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { surviveStorms } from '../e2e/ordeal/api-storm.ts'
import { FileSystemLoad, volumePath } from '../e2e/ordeal/file-system-load.ts'
import { restartInTurn } from '../e2e/ordeal/restarts.ts'
import { killInTurn } from '../e2e/ordeal/worker-kills.ts'
import { startSheep, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'

const MIB = 2 ** 20
const KILLS = { single: 15, double: 5, betweenMs: 4000 } as const
const RESTARTS = 10
const STORM = { clients: 200, forMs: 60_000 } as const

describe('a daemon', { timeout: 3_600_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const [way, pageCache] of [
    ['direct', false],
    ['cached', true],
  ] as const) {
    test(`goes through 20 kills of a worker below ext4 and fio: ${way}`, async (t) => {
      const { daemon, mounts, stop } = await serve(stage, sheep, { count: 1, pageCache })
      for (const { name, path } of mounts) await killInTurn(t, daemon, { mount: name, path, kills: KILLS })
      await stop()
    })
  }

  test('goes through 10 restarts of each of two mounts below ext4 and fio', async (t) => {
    const { daemon, mounts, stop } = await serve(stage, sheep, { count: 2, pageCache: false })
    await restartInTurn(t, daemon, { mounts, times: RESTARTS })
    await stop()
  })

  test('goes through 200 clients for a minute, twice', async (t) => {
    await surviveStorms(t, { stage, sheep, ...STORM })
  })
})

/** A daemon with so many mounts, each with a volume with a file system under load. */
async function serve(
  stage: Stage,
  sheep: Sheep,
  { count, pageCache }: { count: number; pageCache: boolean },
): Promise<{ daemon: Sheepfsd; mounts: readonly { name: string; path: string }[]; stop: () => Promise<void> }> {
  const tables = await Promise.all(
    Array.from({ length: count }, async (_, at) => ({
      ...{ name: `m${at}`, mountpoint: await stage.mountpoint(), page_cache: pageCache },
      ...{ sheep: [addressText(sheep.address)], volumes: [await sheep.createVdi(64 * MIB)] },
    })),
  )
  const daemon = await startSheepfsd(stage, { mounts: tables })
  const mounts = tables.map(({ name, mountpoint, volumes }) => ({
    name,
    path: volumePath(mountpoint, volumes[0] ?? ''),
  }))
  const inner = new Stage()
  stage.defer(() => inner.close())
  const way = pageCache ? 'cached' : 'direct'
  const loads = await Promise.all(mounts.map(({ path }) => FileSystemLoad.start(inner, path, way)))
  const stop = async (): Promise<void> => {
    for (const load of loads) await load.stop()
    await inner.close()
    await daemon.stop()
  }
  return { daemon, mounts, stop }
}
