import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IndexQueue, IndexSet } from '../../src/volume/index-set.ts'
import { Random } from '../sheep/random.ts'

test('a set has what was added and not deleted', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new Random(seed)
    const set = new IndexSet()
    const model = new Set<number>()
    for (let step = 0; step < 5000; step++) {
      const index = random.pick([random.below(40), 8180 + random.below(30), 2 ** 32 + random.below(20)])
      if (random.below(2) === 0) {
        set.add(index)
        model.add(index)
      } else assert.equal(set.delete(index), model.delete(index))
      assert.equal(set.size, model.size)
      assert.equal(set.has(index), model.has(index))
    }
    set.clear()
    assert.deepEqual([set.size, set.has([...model][0] ?? 0)], [0, false])
  }
})

test('a queue gives first what was added first', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const random = new Random(seed)
    const queue = new IndexQueue()
    const model = new Set<number>()
    for (let step = 0; step < 5000; step++) {
      const index = random.below(3000)
      const act = random.pick(['add', 'run', 'take', 'put last', 'delete'] as const)
      for (let i = index; act === 'add' || act === 'run' ? i < index + (act === 'run' ? 20 : 1) : false; i++) {
        queue.add(i)
        model.add(i)
      }
      if (act === 'take') {
        const first = queue.first()
        assert.equal(first === undefined, model.size === 0)
        if (first !== undefined) assert.ok(queue.delete(first) && model.delete(first))
      }
      if (act === 'delete') assert.equal(queue.delete(index), model.delete(index))
      if (act === 'put last') queue.putLast(queue.first() ?? 0)
      assert.equal(queue.has(index), model.has(index))
    }
    const taken: number[] = []
    for (let first = queue.first(); first !== undefined; first = queue.first()) {
      queue.delete(first)
      taken.push(first)
    }
    assert.deepEqual(
      taken.sort((a, b) => a - b),
      [...model].sort((a, b) => a - b),
    )
  }
})

test('a queue keeps the order of what stays, and puts the first last', () => {
  const queue = new IndexQueue()
  for (const index of [7, 8, 9, 3, 100, 101]) queue.add(index)
  queue.delete(8)
  queue.putLast(9) // it is not the first
  const order: number[] = []
  for (let turn = 0; turn < 6; turn++) {
    const first = queue.first() ?? -1
    order.push(first)
    queue.putLast(first)
  }
  assert.deepEqual(order, [7, 9, 3, 100, 101, 7])
})

test('what was given back and made again leaves nothing behind', () => {
  const queue = new IndexQueue()
  for (let i = 0; i < 2 ** 20; i++) {
    const index = (i * 7919) % 2 ** 20
    queue.add(index)
    queue.delete(index)
  }
  for (let index = 0; index < 2 ** 20; index++) queue.add(index)
  for (let index = 0; index < 2 ** 19; index++) queue.delete(index)
  assert.equal(queue.first(), 2 ** 19)
})
