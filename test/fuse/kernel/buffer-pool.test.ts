import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool, LARGEST_BUFFER } from '../../../src/fuse/kernel/buffer-pool.ts'

test('a buffer is at least as long as asked for, and used again', () => {
  const pool = new BufferPool(LARGEST_BUFFER * 4)
  for (const size of [0, 1, 4096, 8192, 8193, 100_000, LARGEST_BUFFER]) {
    const buffer = pool.take(size)
    assert.ok(buffer.bytes.length >= size)
    assert.equal(buffer.view.byteLength, buffer.bytes.length)
    pool.give(buffer)
    assert.equal(pool.take(size), buffer)
    pool.give(buffer)
  }
  assert.equal(pool.lent, 0)
})

test('there is room as long as the largest buffer still fits', () => {
  const pool = new BufferPool(LARGEST_BUFFER * 2)
  const first = pool.take(LARGEST_BUFFER)
  assert.ok(pool.hasRoom)
  const second = pool.take(1)
  assert.ok(!pool.hasRoom)
  pool.give(first)
  pool.give(second)
  assert.ok(pool.hasRoom)
})

test('kept buffers of one size make place for another', () => {
  const pool = new BufferPool(LARGEST_BUFFER * 4)
  const large = [1, 2, 3].map(() => pool.take(LARGEST_BUFFER))
  for (const buffer of large) pool.give(buffer)
  const small = Array.from({ length: 300 }, () => pool.take(4096))
  for (const buffer of small) pool.give(buffer)
  const again = [1, 2, 3].map(() => pool.take(LARGEST_BUFFER))
  assert.ok(again.some((buffer) => !large.includes(buffer)))
})

test('more than the largest buffer is refused', () => {
  assert.throws(() => new BufferPool(LARGEST_BUFFER).take(LARGEST_BUFFER + 1), RangeError)
})
