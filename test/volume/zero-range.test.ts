import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attached, filled, OBJECT_SIZE } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

test('zeroing gives whole objects back and overwrites the others', LIMIT, async (context) => {
  const { volume, model, vid } = await attached(context, 4)
  await volume.write(0, filled(4 * OBJECT_SIZE, 1))
  await volume.zero(100, 3 * OBJECT_SIZE)
  assert.deepEqual(
    Array.from({ length: 4 }, (_, index) => model.entry(vid, index)),
    [vid, 0, 0, vid],
  )
  const expected = filled(4 * OBJECT_SIZE, 1).fill(0, 100, 3 * OBJECT_SIZE + 100)
  assert.deepEqual(model.content(vid), expected)
  assert.equal(await volume.seek(0, 'hole'), OBJECT_SIZE)
  assert.equal(await volume.seek(OBJECT_SIZE, 'data'), 3 * OBJECT_SIZE)
  assert.equal(await volume.seek(3 * OBJECT_SIZE + 5, 'hole'), 4 * OBJECT_SIZE)
  await assert.rejects(volume.seek(4 * OBJECT_SIZE, 'hole'), { code: 'past-end' })
})
