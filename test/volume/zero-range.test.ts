import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { clusterFor, FAST } from '../sheep/staged-cluster.ts'
import { until } from '../sheep/until.ts'
import { attached, fatesFor, filled, OBJECT_SIZE, SPEC } from './staged-volume.ts'

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

test('who reads what a discard of the same volume has given back waits for it', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context)
  const vid = model.createVdi('vdi', OBJECT_SIZE)
  const cluster = await open({ timing: { ...FAST, missingLimitMs: 20 } })
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  await volume.write(0, filled(OBJECT_SIZE, 1))
  for (const one of sheep) one.script = fatesFor(isPublish, { kind: 'answer', afterMs: 200 })
  const discard = volume.zero(0, OBJECT_SIZE)
  await until(() => !model.has(dataOid(vid, 0)))
  const into = filled(10, 9)
  await volume.read(0, into)
  assert.deepEqual(into, filled(10, 0))
  await discard
})
