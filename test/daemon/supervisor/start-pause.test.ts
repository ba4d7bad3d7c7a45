import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startPause } from '../../../src/daemon/supervisor/start-pause.ts'

describe('the pause before a start', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sheepfs-'))
  })
  after(() => rm(folder, { recursive: true }))

  test('is none when somebody has asked for the start', async () => {
    assert.equal(await startPause(folder, { isRestarted: false, hasLeft: true }), 0)
    assert.equal(await startPause(folder, { isRestarted: false, hasLeft: false }), 0)
  })

  test('is none at first when a mount waits, and grows when one supervisor after the other dies young', async () => {
    await startPause(folder, { isRestarted: false, hasLeft: false })
    const pauses: number[] = []
    for (let i = 0; i < 9; i++) pauses.push(await startPause(folder, { isRestarted: true, hasLeft: true }))
    assert.deepEqual(pauses, [0, 500, 1000, 2000, 5000, 10_000, 30_000, 30_000, 30_000])
    await startPause(folder, { isRestarted: false, hasLeft: true })
    assert.equal(await startPause(folder, { isRestarted: true, hasLeft: true }), 0)
  })

  test('is some seconds when nothing is mounted: what the start failed of takes its time', async () => {
    assert.equal(await startPause(folder, { isRestarted: true, hasLeft: false }), 5000)
  })
})
