import assert from 'node:assert/strict'
import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { missing } from '../e2e/stage/ability.ts'
import { startLamb, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { Flood, FLOODS } from './flood.ts'

/** Of the daemon: a flood of a few hundred connections asks for more. */
const DESCRIPTORS = 256
/** That each socket gets. */
const SHARE = DESCRIPTORS / 8
const CONNECTIONS = 300
const PROBES = 10
const SIZE = 2 ** 20

describe('a flood of a socket', { skip: missing('fuse', 'root'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let daemon: Sheepfsd
  let table: MountTable & { readonly volumes: readonly string[] }
  let descriptors: number
  before(async () => {
    sheep = await startLamb(stage)
    table = await tableOf(stage, 'm', sheep, [await sheep.createVdi(SIZE)])
    daemon = await start()
    descriptors = await descriptorsOf(daemon)
  })
  after(() => stage.close())

  function start(predecessor?: Sheepfsd): Promise<Sheepfsd> {
    const mounts = [{ ...table, page_cache: true }]
    const options = { mounts, head: 'observer_socket = true\n', descriptors: DESCRIPTORS }
    return startSheepfsd(stage, predecessor === undefined ? options : { ...options, place: predecessor.place })
  }

  function flood(socket: string, text: string): Flood {
    return new Flood(join(daemon.place.runtimeDirectory, 'test', socket), text, CONNECTIONS)
  }

  for (const [what, text] of Object.entries(FLOODS)) {
    for (const socket of ['observer.sock', 'control.sock']) {
      test(`${socket} with ${what}, is felt by nobody else`, async (t) => {
        const volume = await open(join(table.mountpoint, 'volume', table.volumes[0] ?? ''), 'r+')
        const running = flood(socket, text)
        try {
          let worst = 0
          for (let i = 0; i < PROBES; i++) {
            const since = performance.now()
            assert.equal((await daemon.client.health()).status, 'ok')
            worst = Math.max(worst, performance.now() - since)
            await volume.write(Buffer.from([i]), 0, 1, i)
            await volume.datasync()
            await delay(20)
          }
          const held = (await descriptorsOf(daemon)) - descriptors
          t.diagnostic(`answered within ${Math.round(worst)} ms, ${held} descriptors are taken`)
          assert.ok(held <= 2 * SHARE + 8, String(held))
        } finally {
          running.stop()
          await volume.close()
        }
      })
    }
  }

  test('keeps no worker from being replaced, and no stop from flushing', async () => {
    const floods = Object.values(FLOODS).map((text) => flood('observer.sock', text))
    const volume = await open(join(table.mountpoint, 'volume', table.volumes[0] ?? ''), 'r+')
    try {
      const generation = await daemon.killWorker('m')
      await daemon.serving('m', generation)
      await volume.write(Buffer.alloc(SIZE, 7), 0, SIZE, 0)
      await volume.close()
      assert.equal(await daemon.stop(), 0, daemon.log())
    } finally {
      for (const running of floods) running.stop()
    }
    daemon = await start(daemon)
    const found = await readFile(join(table.mountpoint, 'volume', table.volumes[0] ?? ''))
    assert.ok(found.equals(Buffer.alloc(SIZE, 7)))
    assert.equal(await daemon.stop(), 0)
  })
})

async function descriptorsOf({ child }: Sheepfsd): Promise<number> {
  return (await readdir(`/proc/${child.pid ?? 0}/fd`)).length
}
