import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'node:test'
import { ShortWait } from '../../../src/fuse/kernel/short-wait.ts'

/** Waits in vain; true when the loop was kept turning for it. */
async function inVain(wait: ShortWait): Promise<boolean> {
  wait.begin()
  const wasTurning = wait.isTurning
  while (wait.isTurning) await turn()
  return wasTurning
}

/** Waits in vain until it is not worth a turn any more, and returns how often it was. */
async function vainWaits(wait: ShortWait): Promise<number> {
  let waits = 0
  while (await inVain(wait)) waits++
  return waits
}

test('the loop turns until the event comes, and sleeps then', async () => {
  const wait = new ShortWait(2)
  wait.begin()
  assert.equal(wait.isTurning, true)
  wait.end()
  await turn()
  assert.equal(wait.isTurning, false)
})

test('after some vain waits the loop sleeps at once, until the next trial', async () => {
  const wait = new ShortWait(2)
  assert.equal(await vainWaits(wait), 8)
  for (let number = 2; number < 128; number++) assert.equal(await inVain(wait), false)
  assert.equal(await vainWaits(wait), 8)
})

test('events in time earn patience for more vain waits', async () => {
  const wait = new ShortWait(2)
  await vainWaits(wait)
  while (!(await inVain(wait))); // a trial has begun
  for (let event = 0; event < 20; event++) {
    wait.begin()
    wait.end()
  }
  assert.equal(await vainWaits(wait), 16)
})

test('with one processor the loop always sleeps', async () => {
  assert.equal(await inVain(new ShortWait(1)), false)
})
