import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { ObjectCache } from '../../src/sheep/object-cache.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { readObject } from '../../src/wire/object-ops.ts'
import { FAST } from './staged-cluster.ts'

const REQUESTS = 100

/** Sends many requests at once, none of which is answered before as many are under way as will be. Resolves with how many those were. */
async function mostAtOnce(isOn: boolean): Promise<number> {
  const cache = new ObjectCache({ isOn, clock: realWorld.clock, timing: FAST })
  const answers: (() => void)[] = []
  let most = 0
  let answered = 0
  const requests = Array.from({ length: REQUESTS }, (_, index) =>
    cache.pass(readObject(dataOid(1, index), 0, 1), () => new Promise<void>((resolve) => answers.push(resolve))),
  )
  while (answered < REQUESTS) {
    await turn()
    most = Math.max(most, answers.length)
    answers.shift()?.()
    answered++
  }
  await Promise.all(requests)
  return most
}

test('with the object cache no more requests are under way than leave a sheep a thread to write it back', async () => {
  assert.equal(await mostAtOnce(true), 16)
})

test('without it all are', async () => {
  assert.equal(await mostAtOnce(false), REQUESTS)
})
