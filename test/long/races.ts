// The races of test/volume/races.test.ts at full length. See README.md in this folder.
import { after, before, test } from 'node:test'
import type { Address } from '../../src/sheep/address.ts'
import { startSheep } from '../e2e/stage/sheep.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { raceDiscards, raceSnapshots } from '../volume/race-volume.ts'

const RUNS = 20
const stage = new Stage()
let address: Address

before(async () => {
  const sheep = await startSheep(stage, ['--snapshot-pause', '20', '--removal-delay', '10'])
  address = sheep.address
})
after(() => stage.close())

for (let run = 1; run <= RUNS; run++) {
  test(`512 publishes of 4 writers and 6 snapshots, run ${run}`, { timeout: 300_000 }, async () => {
    await raceSnapshots(address, { objects: 512, writers: 4, snapshots: 6 })
  })
}

test('960 rounds of discard and create by 16 threads', { timeout: 600_000 }, async () => {
  await raceDiscards(address, { threads: 16, rounds: 960 })
})
