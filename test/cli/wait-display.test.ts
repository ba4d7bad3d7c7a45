import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { showWait } from '../../src/cli/wait-display.ts'
import { fakeMount } from '../api/fake-supervisor.ts'

test('what takes longer than two seconds is shown, and for what it waits', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let mounts = [fakeMount()]
  const shown: string[] = []
  const pass = async (): Promise<void> => {
    t.mock.timers.tick(1000)
    await nextTurn()
  }
  const end = showWait(
    { mounts: () => Promise.resolve(mounts) },
    () => 'vdi create',
    (text) => {
      shown.push(text)
    },
  )
  await pass()
  assert.equal(shown.length, 0)
  await pass()
  assert.equal(shown.join(), 'vdi create, 2 s')
  mounts = [fakeMount({ state: 'waiting', reason: 'no sheep answers' })]
  await pass()
  assert.equal(shown.at(-1), 'waiting for 3 s, mount cluster1: no sheep answers')
  end()
  const before = shown.length
  await pass()
  assert.equal(shown.length, before)
})
