import { after, before, test } from 'node:test'
import type { Address } from '../../src/sheep/address.ts'
import { startSheep } from '../e2e/stage/sheep.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { raceDiscards, raceSnapshots } from './race-volume.ts'

const LIMIT = { timeout: 60_000 }
const stage = new Stage()
let address: Address

// against a lamb that is slow where a real sheep is: the races are lost by whoever does not wait
before(async () => {
  const sheep = await startSheep(stage, ['--snapshot-pause', '20', '--removal-delay', '10'])
  address = sheep.address
})
after(() => stage.close())

test('no write is lost to snapshots that others take while the volume is allocated', LIMIT, async () => {
  await raceSnapshots(address, { objects: 256, writers: 4, snapshots: 4 })
})

test('no write is lost to the removal of what was discarded just before', LIMIT, async () => {
  await raceDiscards(address, { threads: 16, rounds: 160 })
})
