import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RangeLocks, type RangeHold } from '../../src/volume/range-locks.ts'

type Step =
  { kind: 'acquire'; object: number; start: number; length: number } | { kind: 'release' | 'narrow'; which: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('acquire' as const),
    object: fc.nat(1),
    start: fc.nat(9),
    length: fc.integer({ min: 1, max: 10 }),
  }),
  fc.record({ kind: fc.constantFrom('release' as const, 'narrow' as const), which: fc.nat(20) }),
)

/** What must hold: granted if and only if no earlier hold of the object overlaps. */
function check(holds: readonly RangeHold[]): void {
  holds.forEach((hold, place) => {
    const isBlocked = holds.slice(0, place).some((earlier) => earlier.object === hold.object && earlier.overlaps(hold))
    assert.equal(hold.isGranted, !isBlocked)
  })
}

function take(holds: readonly RangeHold[], which: number): RangeHold | undefined {
  const granted = holds.filter((hold) => hold.isGranted)
  return granted[which % granted.length]
}

test('a range is held exactly while no earlier hold of the object overlaps it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const locks = new RangeLocks()
      let holds: RangeHold[] = []
      for (const one of steps) {
        if (one.kind === 'acquire') holds.push(locks.acquire(one.object, one.start, one.start + one.length))
        else {
          const hold = take(holds, one.which)
          if (!hold) continue
          if (one.kind === 'narrow') hold.narrow(hold.start, hold.start + Math.ceil((hold.end - hold.start) / 2))
          else {
            hold.release()
            hold.release()
            holds = holds.filter((other) => other !== hold)
          }
        }
        check(holds)
      }
      for (const hold of holds) hold.release()
      assert.equal(locks.isIdle, true)
    }),
  )
})

test('who waits is woken when it is its turn', { timeout: 5000 }, async () => {
  const locks = new RangeLocks()
  const order: string[] = []
  const whole = locks.acquire(1, 0, 100)
  const waiting = ['a', 'b'].map(async (name) => {
    const hold = locks.acquire(1, 10, 20)
    await hold.granted
    order.push(name)
    hold.release()
  })
  whole.narrow(20, 30)
  await Promise.all(waiting)
  whole.release()
  assert.deepEqual(order, ['a', 'b'])
  assert.equal(locks.isIdle, true)
})
