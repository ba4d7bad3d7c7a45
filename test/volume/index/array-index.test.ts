import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../../src/log.ts'
import { openVolume } from '../../../src/volume/open-volume.ts'
import { Opcode, Result } from '../../../src/wire/sd-proto.ts'
import type { Fate, ScriptedSheep } from '../../sheep/scripted-sheep.ts'
import type { SheepRequest } from '../../sheep/sheep-request.ts'
import { clusterFor } from '../../sheep/staged-cluster.ts'
import { isPublish } from '../../sheep/sheep-rules.ts'
import { kindOf } from '../../../src/wire/object-id.ts'
import { attached, fatesFor, filled, OBJECT_SIZE, SPEC } from '../staged-volume.ts'

const LIMIT = { timeout: 20_000 }

function isInodeRead({ opcode, oid }: SheepRequest): boolean {
  return opcode === Opcode.READ_OBJ && kindOf(oid) === 'inode'
}

test('writes to a new object at the same time create it once and publish it once', LIMIT, async (context) => {
  const { volume, sheep, model, vid, rules } = await attached(context)
  await Promise.all(Array.from({ length: 16 }, (_, i) => volume.write(i * 256, filled(256, i + 1))))
  assert.equal(sheep.count('CREATE_AND_WRITE_OBJ'), 1)
  assert.equal(sheep.requests.filter(isPublish).length, 1)
  assert.deepEqual(
    [...model.content(vid).subarray(0, 4096)],
    Array.from({ length: 4096 }, (_, i) => (i >> 8) + 1),
  )
  assert.deepEqual(rules.violations, [])
})

test('adjacent new objects are published together', LIMIT, async (context) => {
  const { volume, sheep, vid, model } = await attached(context)
  await volume.write(OBJECT_SIZE / 2, filled(4 * OBJECT_SIZE, 9))
  const entries = sheep.requests.filter(isPublish).reduce((sum, { payload }) => sum + payload.length / 4, 0)
  assert.equal(entries, 5)
  assert.ok(sheep.requests.filter(isPublish).length < 5)
  assert.equal(volume.allocatedBytes, 5 * OBJECT_SIZE)
  assert.equal(model.entry(vid, 4), vid)
})

test('a publish whose answer was lost is not sent again when it was executed', LIMIT, async (context) => {
  const { volume, sheep, rules } = await attached(context)
  sheep.script = fatesFor(isPublish, { kind: 'cut', execute: 'first' })
  await volume.write(0, filled(10, 1))
  assert.equal(sheep.requests.filter(isPublish).length, 1)
  sheep.script = fatesFor(isPublish, { kind: 'cut', execute: 'never' })
  await volume.write(OBJECT_SIZE, filled(10, 1))
  assert.equal(sheep.requests.filter(isPublish).length, 3)
  assert.deepEqual(rules.violations, [])
})

test('a publish that only some replicas have is sent again through one that has it', LIMIT, async (context) => {
  const { model, sheep, rules, open } = await clusterFor(context, 2)
  model.createVdi('vdi', 2 * OBJECT_SIZE, { copies: 2 })
  const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  const lacking: Fate = { kind: 'refuse', result: Result.SUCCESS, payload: filled(4, 0) }
  const failing: Fate = { kind: 'refuse', result: Result.NETWORK_ERROR, execute: true }
  const fates: Record<'publish' | 'look' | 'none', Fate[]> = { publish: [failing], look: [lacking], none: [] }
  first.script = (request) => {
    const isLook = request.opcode === Opcode.READ_OBJ && request.dataLength === 4
    return fates[isPublish(request) ? 'publish' : isLook ? 'look' : 'none'].shift() ?? { kind: 'answer' }
  }
  await volume.write(0, filled(10, 1))
  assert.equal(first.requests.filter(isPublish).length, 1)
  assert.equal(second.requests.filter(isPublish).length, 1)
  // in the model, which has one copy of everything, the update that completes the replicas changes nothing
  assert.match(rules.violations.join('\n'), /^WRITE_OBJ .* rule 5: an unchanged index entry is written$/)
})

test('a replica that cannot be reached is no proof that it has an update', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context, 2)
  model.createVdi('vdi', 2 * OBJECT_SIZE, { copies: 2 })
  const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  first.script = fatesFor(isPublish, { kind: 'refuse', result: Result.NETWORK_ERROR, execute: true })
  await second.stop()
  await volume.write(0, filled(10, 1))
  assert.equal(first.requests.filter(isPublish).length, 2)
})

test('all replicas are looked at again when none could be asked while the cluster was away', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context, 2)
  model.createVdi('vdi', 2 * OBJECT_SIZE, { copies: 2 })
  const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  const lacking: Fate = { kind: 'refuse', result: Result.SUCCESS, payload: filled(4, 0) }
  const failing: Fate = { kind: 'refuse', result: Result.NETWORK_ERROR, execute: true }
  const away: Fate = { kind: 'refuse', result: Result.WAIT_FOR_JOIN }
  const publishes = [failing]
  const looks = [away, away, away]
  first.script = (request) => {
    const isLook = request.opcode === Opcode.READ_OBJ && request.dataLength === 4
    if (isLook) return looks.shift() ?? lacking
    return (isPublish(request) ? publishes.shift() : undefined) ?? { kind: 'answer' }
  }
  second.script = fatesFor(({ opcode, dataLength }) => opcode === Opcode.READ_OBJ && dataLength === 4, away, away, away)
  await volume.write(0, filled(10, 1))
  assert.equal(first.requests.filter(isPublish).length, 1)
  assert.equal(second.requests.filter(isPublish).length, 1)
})

test('a failed index update is looked up before its entry is believed', LIMIT, async (context) => {
  const { volume, sheep, cluster, rules } = await attached(context)
  cluster.ioTimeoutMs = 30
  sheep.script = (request) => {
    if (isPublish(request)) return { kind: 'refuse', result: Result.AGAIN, execute: true }
    return isInodeRead(request) ? { kind: 'refuse', result: Result.HALT } : { kind: 'answer' }
  }
  await assert.rejects(volume.write(0, filled(OBJECT_SIZE, 1)), { code: 'unreachable' })
  cluster.ioTimeoutMs = Infinity
  sheep.script = () => ({ kind: 'answer' })
  await volume.write(0, filled(10, 2))
  const into = new Uint8Array(20)
  await volume.read(0, into)
  assert.deepEqual([...into], [...filled(10, 2), ...filled(10, 1)])
  assert.deepEqual(rules.violations, [])
})

test('one that only some replicas have is completed before its entry is believed', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context, 2)
  const vid = model.createVdi('vdi', 2 * OBJECT_SIZE, { copies: 2 })
  const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  first.script = fatesFor(isPublish, { kind: 'refuse', result: Result.NO_SPACE, execute: true })
  await assert.rejects(volume.write(0, filled(10, 1)), { code: 'no-space' })
  const isLook = ({ opcode, dataLength }: SheepRequest): boolean => opcode === Opcode.READ_OBJ && dataLength === 4
  const lacking: Fate = { kind: 'refuse', result: Result.SUCCESS, payload: filled(4, 0) }
  second.script = fatesFor(isLook, lacking, lacking)
  await volume.write(10, filled(10, 2))
  assert.equal([...first.requests, ...second.requests].filter(isPublish).length, 2)
  assert.deepEqual([...model.content(vid).subarray(0, 20)], [...filled(10, 1), ...filled(10, 2)])
})

test(
  'a failed index update is looked up before it is passed over by a discard, or as a hole',
  LIMIT,
  async (context) => {
    const { volume, sheep, cluster, model, vid } = await attached(context)
    cluster.ioTimeoutMs = 30
    sheep.script = (request) => {
      if (isPublish(request)) return { kind: 'refuse', result: Result.AGAIN, execute: true }
      return isInodeRead(request) ? { kind: 'refuse', result: Result.HALT } : { kind: 'answer' }
    }
    await assert.rejects(volume.write(OBJECT_SIZE, filled(OBJECT_SIZE, 1)), { code: 'unreachable' })
    await assert.rejects(volume.write(3 * OBJECT_SIZE, filled(OBJECT_SIZE, 1)), { code: 'unreachable' })
    cluster.ioTimeoutMs = Infinity
    sheep.script = () => ({ kind: 'answer' })
    assert.equal(await volume.seek(2 * OBJECT_SIZE, 'data'), 3 * OBJECT_SIZE)
    await volume.zero(0, 3 * OBJECT_SIZE)
    const into = new Uint8Array(OBJECT_SIZE)
    await volume.read(OBJECT_SIZE, into)
    assert.deepEqual(into, filled(OBJECT_SIZE, 0))
    assert.equal(model.entry(vid, 1), 0)
  },
)
