// A thousand large volumes on one mount: what they cost. See README.md in this folder.
import assert from 'node:assert/strict'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { addressText } from '../../src/sheep/address.ts'
import { mapInOrder } from '../../src/sheep/map-in-order.ts'
import { Random } from '../sheep/random.ts'
import { startLamb, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'

const MOUNT = 'many'
const VOLUMES = Number(process.env['SHEEPFS_TEST_VOLUMES'] ?? 1000)
const SIZE = 2 ** 42
const OBJECT_SIZE = 2 ** 22
/** Of so many each second object is there: no two entries beside each other are alike. */
const MIXED = 10
const ATTACHED_AT_ONCE = 8
const MOST_BYTES = 200 * 1000 * 1000
const IDLE_MS = 20_000
const TICKS_PER_S = 100

describe('a mount with 1000 volumes of 4 TiB', { timeout: 3_600_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let daemon: Sheepfsd
  let mountpoint: string
  const volumes: string[] = []
  before(async () => {
    sheep = await startLamb(stage)
    mountpoint = await stage.mountpoint()
    while (volumes.length < VOLUMES) volumes.push(await sheep.createVdi(SIZE))
    for (const name of volumes.slice(0, MIXED)) await sheep.mixIndex(name)
  })
  after(() => stage.close())

  test('is attached', async (t) => {
    const since = performance.now()
    const table = { name: MOUNT, mountpoint, sheep: [addressText(sheep.address)] }
    daemon = await startSheepfsd(stage, { mounts: [table] })
    await mapInOrder(volumes, ATTACHED_AT_ONCE, (volume) => daemon.client.attach(MOUNT, volume, {}))
    t.diagnostic(`attached within ${seconds(performance.now() - since)}`)
    assert.ok((await peakBytes(t)) < MOST_BYTES)
  })

  test('is read anywhere', async (t) => {
    const random = new Random(1)
    const since = performance.now()
    const reader = async (): Promise<void> => {
      for (let i = 0; i < 250; i++) {
        const file = await open(join(mountpoint, 'volume', random.pick(volumes)))
        await file
          .read(Buffer.alloc(4096), 0, 4096, 2 * OBJECT_SIZE * random.below(SIZE / OBJECT_SIZE / 2))
          .finally(() => file.close())
      }
    }
    await Promise.all(Array.from({ length: 8 }, reader))
    t.diagnostic(`2000 reads in ${seconds(performance.now() - since)}`)
    assert.ok((await peakBytes(t)) < MOST_BYTES)
  })

  test('costs next to nothing while nobody uses it', async (t) => {
    const before = await processorS()
    await pause(IDLE_MS)
    t.diagnostic(`${((100_000 * ((await processorS()) - before)) / IDLE_MS).toFixed(2)} % of a processor`)
  })

  async function peakBytes(t: { diagnostic: (text: string) => void }): Promise<number> {
    const status = await readFile(`/proc/${await daemon.workerPid(MOUNT)}/status`, 'utf8')
    const peak = 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(status)?.[1])
    t.diagnostic(`the worker has taken at most ${Math.round(peak / 1e6)} MB`)
    return peak
  }

  async function processorS(): Promise<number> {
    const fields = (await readFile(`/proc/${await daemon.workerPid(MOUNT)}/stat`, 'utf8')).split(') ')[1]?.split(' ')
    return (Number(fields?.[11]) + Number(fields?.[12])) / TICKS_PER_S
  }
})

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
