import { after, describe, test } from 'node:test'
import { surviveStorms } from './ordeal/api-storm.ts'
import { missing } from './stage/ability.ts'
import { startLamb } from './stage/sheep.ts'
import { Stage } from './stage/stage.ts'

describe('200 clients at once', { skip: missing('fuse', 'root'), timeout: 180_000 }, () => {
  const stage = new Stage()
  after(() => stage.close())

  test('leave the mounts as all of them say, and nothing else behind', async (t) => {
    const sheep = await startLamb(stage, ['--locking'])
    await surviveStorms(t, { stage, sheep, clients: 200, forMs: 4000 })
  })
})
