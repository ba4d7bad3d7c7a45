import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeStat, encodeStatvfs } from '../../../src/fuse/native/stat-layout.ts'
import { MemoryVolume } from '../memory-tree.ts'

test('sizes, blocks and times beyond 32 bits are two words each', async () => {
  const volume = new MemoryVolume(7, 0, { now: 0, most: 0 })
  const size = 2 ** 45 + 1
  const times = { modifiedMs: 2 ** 41 + 5, changedMs: 2 ** 41 + 2 ** 32 + 6.5 }
  const words = encodeStat(volume, { ...(await volume.attributes()), size, allocated: 2 ** 45, ...times })
  assert.equal(words.length, 18)
  assert.deepEqual(Array.from(words.subarray(3, 5)), [1, 2 ** 13])
  assert.deepEqual(Array.from(words.subarray(10, 12)), [0, 2 ** 4])
  assert.deepEqual(Array.from(words.subarray(12)), [5, 2 ** 9, 5, 2 ** 9, 6, 2 ** 9 + 1])
})

for (const total of [0, 4095, 2 ** 44 - 1, 2 ** 44, 2 ** 52]) {
  test(`statfs counts ${total} bytes without overflow`, () => {
    const [, fragment = 0, blocks = 0, free = 0] = encodeStatvfs({ total, free: total / 2 })
    assert.ok(blocks * fragment <= total && total - blocks * fragment < fragment)
    assert.ok(free * fragment <= total / 2)
  })
}
