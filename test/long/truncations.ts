// Truncations with a killed worker, at full length. See README.md in this folder.
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { addressText } from '../../src/sheep/address.ts'
import { killWhileTruncating } from '../e2e/ordeal/truncations.ts'
import { startSheep, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'

const SIZE = 24 * 2 ** 20
const TIMES = 100
/** A worker that lived this long is replaced at once when it dies. */
const BETWEEN_MS = 3100

describe('a volume that is truncated', { timeout: 3_600_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const pageCache of [false, true]) {
    test(`goes through ${TIMES} kills of its worker: page cache ${pageCache ? 'on' : 'off'}`, async (t) => {
      const [name, mountpoint] = [await sheep.createVdi(SIZE), await stage.mountpoint()]
      const mount = {
        name: 'm',
        mountpoint,
        sheep: [addressText(sheep.address)],
        volumes: [name],
        page_cache: pageCache,
      }
      const daemon = await startSheepfsd(stage, { mounts: [mount] })
      const path = join(mountpoint, 'volume', name)
      await killWhileTruncating(t, daemon, { mount: 'm', path, times: TIMES, betweenMs: BETWEEN_MS })
      await daemon.stop()
    })
  }
})
