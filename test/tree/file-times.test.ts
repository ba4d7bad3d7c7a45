import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { FileTimes } from '../../src/tree/file-times.ts'

function timesSince(sinceMs: number, onMove = (): void => undefined): FileTimes {
  return new FileTimes({ modifiedMs: sinceMs, changedMs: sinceMs }, { clock: realWorld.clock, onMove })
}

test('no two changes have the same times, and none is before another, whatever the clock does', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_800_000_000_000 })
  const times = timesSince(Date.now())
  let before = times.changedMs
  const change = (): void => {
    times.touch()
    assert.ok(times.changedMs > before)
    assert.equal(times.modifiedMs, times.changedMs)
    before = times.changedMs
  }
  for (let count = 0; count < 1000; count++) change()
  t.mock.timers.setTime(1_700_000_000_000)
  change()
  t.mock.timers.setTime(1_900_000_000_000)
  change()
  assert.equal(times.modifiedMs, 1_900_000_000_000)
})

test('mtime is what it is set to until the next change, ctime is when it was set', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000 })
  const times = timesSince(Date.now())
  t.mock.timers.tick(5)
  times.set(7_000_000)
  assert.deepEqual([times.modifiedMs, times.changedMs], [7_000_000, 1_005])
  t.mock.timers.tick(5)
  times.touch()
  assert.deepEqual([times.modifiedMs, times.changedMs], [1_010, 1_010])
})

test('what a kernel has from before the last change does not undo it', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000 })
  const times = timesSince(Date.now())
  t.mock.timers.tick(500)
  times.touch()
  times.set(1_100, 1_100)
  assert.equal(times.modifiedMs, 1_500)
  times.set(77, 1_500 - 4) // its clock goes in ticks
  assert.equal(times.modifiedMs, 77)
})

test('a change that the kernel knows leaves one untold that it does not know', () => {
  let moves = 0
  const times = timesSince(0, () => moves++)
  times.touch({ isTold: true })
  assert.equal(times.isUntold, false)
  times.touch()
  times.touch({ isTold: true })
  times.set(5)
  assert.deepEqual([times.isUntold, moves], [true, 4])
})
