import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kindOf } from '../../src/wire/object-id.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { attached, filled, OBJECT_SIZE } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

test('writing goes on through a snapshot, and the snapshot keeps what it had', LIMIT, async (context) => {
  const { volume, model, vid, rules } = await attached(context)
  await volume.write(0, filled(2 * OBJECT_SIZE, 1))
  const child = await model.snapshot('vdi', 's1')
  const before = model.content(vid)
  await volume.write(100, filled(100, 2))
  assert.equal(volume.vid, child)
  assert.deepEqual(model.content(vid), before)
  const into = new Uint8Array(300)
  await volume.read(0, into)
  assert.deepEqual([...into], [...filled(100, 1), ...filled(100, 2), ...filled(100, 1)])
  assert.deepEqual(rules.violations, [])
})

test('a publish that a snapshot has lost is repaired at the next sync', LIMIT, async (context) => {
  const { volume, model, sheep, rules } = await attached(context)
  await volume.write(0, filled(10, 1))
  let snapshot: Promise<number> | undefined
  sheep.script = (request) => {
    if (!isPublish(request)) return { kind: 'answer' }
    snapshot ??= model.snapshot('vdi', 's1', 40)
    return { kind: 'answer', beforeMs: 5 }
  }
  await volume.write(OBJECT_SIZE, filled(10, 2))
  const child = (await snapshot) ?? 0
  assert.equal(model.entry(child, 1), 0)
  await volume.sync()
  assert.equal(volume.vid, child)
  assert.deepEqual([...model.content(child).subarray(OBJECT_SIZE, OBJECT_SIZE + 10)], [...filled(10, 2)])
  assert.deepEqual(rules.violations, [])
})

test(
  'what a sync took for safe, at a gateway that heard of the snapshot late, is repaired by the next change',
  LIMIT,
  async (context) => {
    const { volume, model, sheep, rules } = await attached(context)
    await volume.write(0, filled(10, 1))
    let snapshot: Promise<number> | undefined
    let isLate = true
    sheep.script = (request) => {
      if (isPublish(request)) {
        snapshot ??= model.snapshot('vdi', 's1', 40)
        return { kind: 'answer', beforeMs: 5 }
      }
      const isEmptyWrite = request.opcode === Opcode.WRITE_OBJ && request.payload.length === 0
      return isEmptyWrite && isLate ? { kind: 'refuse', result: Result.SUCCESS } : { kind: 'answer' }
    }
    await volume.write(OBJECT_SIZE, filled(10, 2))
    const child = (await snapshot) ?? 0
    await volume.sync()
    assert.notEqual(volume.vid, child)
    assert.equal(model.entry(child, 1), 0)
    isLate = false
    await volume.write(2 * OBJECT_SIZE, filled(10, 3))
    assert.equal(volume.vid, child)
    assert.deepEqual([...model.content(child).subarray(OBJECT_SIZE, OBJECT_SIZE + 10)], [...filled(10, 2)])
    assert.deepEqual(rules.violations, [])
  },
)

test('a discard that a snapshot has lost is repaired too', LIMIT, async (context) => {
  const { volume, model, sheep } = await attached(context)
  await volume.write(0, filled(2 * OBJECT_SIZE, 1))
  let snapshot: Promise<number> | undefined
  sheep.script = (request) => {
    if (!isPublish(request)) return { kind: 'answer' }
    snapshot ??= model.snapshot('vdi', 's1', 40)
    return { kind: 'answer', beforeMs: 5 }
  }
  await volume.zero(0, OBJECT_SIZE)
  const child = (await snapshot) ?? 0
  assert.notEqual(model.entry(child, 0), 0)
  await volume.sync()
  assert.equal(model.entry(child, 0), 0)
})

test('a snapshot of the new inode while it is being repaired starts over', LIMIT, async (context) => {
  const { volume, model, sheep, rules } = await attached(context)
  let snapshot: Promise<number> | undefined
  sheep.script = (request) => {
    if (!isPublish(request)) return { kind: 'answer' }
    snapshot ??= model.snapshot('vdi', 's1', 40)
    return { kind: 'answer', beforeMs: 5 }
  }
  await volume.write(0, filled(10, 1))
  await snapshot
  let second: Promise<number> | undefined
  sheep.script = ({ opcode }) => {
    if (opcode === Opcode.CREATE_AND_WRITE_OBJ) second ??= model.snapshot('vdi', 's2')
    return { kind: 'answer', beforeMs: 10 }
  }
  await volume.sync()
  assert.equal(volume.vid, await second)
  assert.deepEqual([...model.content(volume.vid).subarray(0, 10)], [...filled(10, 1)])
  assert.deepEqual(rules.violations, [])
})

test('a size that grew while a snapshot was taken is kept', LIMIT, async (context) => {
  const { volume, model, sheep } = await attached(context, 4)
  let snapshot: Promise<number> | undefined
  sheep.script = ({ opcode, oid }) => {
    if (opcode === Opcode.WRITE_OBJ && kindOf(oid) === 'inode') snapshot ??= model.snapshot('vdi', 's1', 20)
    return { kind: 'answer' }
  }
  await volume.grow(6 * OBJECT_SIZE)
  assert.equal(volume.vid, await snapshot)
  assert.equal(volume.size, 6 * OBJECT_SIZE)
  assert.equal(model.content(volume.vid).length, 6 * OBJECT_SIZE)
})

test('a snapshot that was taken unnoticed does not grow with the volume', LIMIT, async (context) => {
  const { volume, model, vid } = await attached(context, 4)
  await model.snapshot('vdi', 's1')
  await volume.grow(8 * OBJECT_SIZE)
  assert.equal(model.content(vid).length, 4 * OBJECT_SIZE)
  assert.equal(model.content(volume.vid).length, 8 * OBJECT_SIZE)
})
