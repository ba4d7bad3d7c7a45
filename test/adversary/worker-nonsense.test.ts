import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { FEW_DEATHS } from '../../src/daemon/mount/restart-policy.ts'
import { missing } from '../e2e/stage/ability.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { BAD } from './bad-messages.ts'
import { CAPTURED, CapturedDaemon } from './captured-daemon.ts'

const NEEDS = { skip: missing('fuse', 'root'), timeout: 600_000 }

describe('a captured worker that does not keep to the protocol', NEEDS, () => {
  const stage = new Stage()
  let scene: CapturedDaemon
  before(async () => {
    scene = await CapturedDaemon.start(stage)
  })
  after(() => stage.close())

  test('harms nobody but its own mount with what is no message', async () => {
    assert.ok(BAD.length >= 40)
    for (const [at, message] of BAD.entries()) {
      const deaths = at % FEW_DEATHS // with more the next worker is waited for
      if (deaths === 0) await scene.capture()
      await scene.order({ say: message })
      await scene.daemon.serving(CAPTURED, deaths + 2)
      await scene.checkUnharmed(JSON.stringify(message))
    }
  })
})
