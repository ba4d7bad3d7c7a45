/*
 * Two clusters that have a VDI of the same name: a client changes over between them before, during and after I/O, with the
 * volume open, in both directions. No byte of the one is ever read from the other, or written to it. The second cluster is named
 * by SHEEPFS_TEST_OTHER_SHEEP; with neither named both are embedded. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { errorText, isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { parseAddress, type Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import type { Volume } from '../../src/volume/volume.ts'
import { startSheep } from '../e2e/stage/sheep.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { Random } from '../sheep/random.ts'

const ROUNDS = 20
const SIZE = 32 << 20
const BLOCK = 4096
const BLOCKS = SIZE / BLOCK
const NAME = `two-clusters-${process.pid}`
const SPEC = { name: Buffer.from(NAME) }
const log = silentLogger()
const limit = { timeout: 1_800_000 }

let stage: Stage
let sides: readonly Side[]

/** One of the clusters: `mark` is in every block that is meant for it. */
interface Side {
  readonly mark: number
  readonly address: Address
  readonly client: Cluster
}

before(async () => {
  stage = new Stage()
  const other = process.env['SHEEPFS_TEST_OTHER_SHEEP']
  const first = await startSheep(stage)
  const second = other === undefined ? (await startSheep(stage)).address : parseAddress(other)
  sides = await Promise.all(
    [first.address, second].map(async (address, i) => {
      const client = new Cluster({ world: realWorld, addresses: [address], log })
      await client.open()
      await createVdi(client, { name: NAME, size: SIZE })
      return { mark: i + 1, address, client }
    }),
  )
})
after(async () => {
  for (const { client } of sides) {
    await openVolume(client, SPEC, { log, breakLock: true }).then((volume) => volume.close())
    await deleteVdi(client, [SPEC], () => undefined)
    client.close()
  }
  await stage.close()
})

const MOMENTS = ['before', 'during', 'after'] as const

for (const moment of MOMENTS) {
  test(`${ROUNDS} times to the other cluster and back, ${moment} the first I/O`, limit, async () => {
    const mount = new Cluster({ world: realWorld, addresses: sides.slice(0, 1).map(({ address }) => address), log })
    await mount.open()
    const counts = { acknowledged: 0, stale: 0, read: 0 }
    for (let round = 0; round < ROUNDS; round++) {
      const [here, there] = round % 2 === 0 ? sides : [...sides].reverse()
      assert.ok(here && there)
      const volume = await openVolume(mount, SPEC, { log, breakLock: true })
      const random = new Random(round)
      if (moment === 'after') await workOn(volume, here.mark, { random, steps: 20, counts })
      const work = moment === 'during' ? workOn(volume, here.mark, { random, steps: 400, counts }) : undefined
      if (moment === 'during') await pause(random.below(60))
      await mount.setAddresses([there.address])
      await work
      await workOn(volume, here.mark, { random, steps: 20, counts })
      await volume.close().catch((error: unknown) => {
        assert.ok(isSheepfsError(error, 'stale'), errorText(error))
      })
      await checkMarks(there)
      await checkMarks(here)
    }
    mount.close()
    console.log(moment, counts)
    assert.ok(counts.stale > 0 && (moment === 'before' || counts.acknowledged > 0))
  })
}

interface Work {
  readonly random: Random
  readonly steps: number
  readonly counts: { acknowledged: number; stale: number; read: number }
}

/** Writes and reads blocks here and there, four at a time, until it is done or the volume is stale. */
async function workOn(volume: Volume, mark: number, { random, steps, counts }: Work): Promise<void> {
  const step = async (): Promise<void> => {
    const at = random.below(BLOCKS) * BLOCK
    try {
      if (random.next() < 0.5) {
        await volume.write(at, Buffer.alloc(BLOCK, mark))
        counts.acknowledged++
      } else {
        const bytes = new Uint8Array(BLOCK)
        await volume.read(at, bytes)
        counts.read++
        assertOnly(bytes, mark)
      }
    } catch (error) {
      assert.ok(isSheepfsError(error, 'stale'), errorText(error))
      counts.stale++
    }
  }
  for (let done = 0; done < steps; done += 4) await Promise.all([step(), step(), step(), step()])
}

/** Nothing in the cluster was meant for the other one. */
async function checkMarks({ client, mark }: Side): Promise<void> {
  const volume = await openVolume(client, SPEC, { log, readOnly: true })
  const bytes = new Uint8Array(SIZE)
  await volume.read(0, bytes)
  await volume.close()
  assertOnly(bytes, mark)
}

function assertOnly(bytes: Uint8Array, mark: number): void {
  const wrong = bytes.findIndex((byte) => byte !== 0 && byte !== mark)
  assert.equal(wrong, -1, `byte ${wrong} is of cluster ${bytes[wrong]}, not of ${mark}`)
}
