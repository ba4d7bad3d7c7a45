import { test } from 'node:test'
import { errorText } from '../../../src/errors.ts'
import { LifeWorld } from './life-world.ts'

const FIRST_SEED = Number(process.env['SHEEPFS_TEST_SEED'] ?? 1)
const SCHEDULES = Number(process.env['SHEEPFS_TEST_SCHEDULES'] ?? 20_000)

test('no schedule of deaths, restarts and stops leaves a mount unserved, served twice, or a lock behind', async () => {
  for (let seed = FIRST_SEED; seed < FIRST_SEED + SCHEDULES; seed++) {
    const world = new LifeWorld(seed)
    try {
      await world.run()
    } catch (error) {
      throw new Error(`seed ${seed}: ${errorText(error)}\n${world.trace.join('\n')}`, { cause: error })
    }
  }
})
