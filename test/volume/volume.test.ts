import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { viewOf } from '../../src/wire/field.ts'
import { ClusterFlag, getClusterDefault, VDI_STATE_SIZE, VdiState } from '../../src/wire/info-ops.ts'
import { parseAddr } from '../../src/wire/node-record.ts'
import { dataOid, inodeOid, kindOf } from '../../src/wire/object-id.ts'
import { writeVdiSize } from '../../src/wire/object-ops.ts'
import { isIndexUpdate } from '../sheep/model-cluster.ts'
import type { Fate, ScriptedSheep } from '../sheep/scripted-sheep.ts'
import type { SheepRequest } from '../sheep/sheep-request.ts'
import { clusterFor, FAST } from '../sheep/staged-cluster.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { attached, fatesFor, filled, OBJECT_SIZE, SPEC } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

function isPublish({ opcode, oid, offset, payload }: SheepRequest): boolean {
  return opcode === Opcode.WRITE_OBJ && kindOf(oid) === 'inode' && isIndexUpdate(offset, payload.length)
}

function isInodeRead({ opcode, oid }: SheepRequest): boolean {
  return opcode === Opcode.READ_OBJ && kindOf(oid) === 'inode'
}

function isDataWrite({ opcode, oid, payload }: SheepRequest): boolean {
  return opcode === Opcode.WRITE_OBJ && kindOf(oid) === 'data' && payload.length > 0
}

test('what was never written reads as zeros, without a request', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  const into = filled(3 * OBJECT_SIZE, 1)
  assert.equal(await volume.read(0, into), into.length)
  assert.deepEqual(into, filled(into.length, 0))
  assert.equal(
    sheep.requests.filter(({ opcode, oid }) => opcode === Opcode.READ_OBJ && kindOf(oid) === 'data').length,
    0,
  )
})

test('reads and writes stop at the end of the volume', LIMIT, async (context) => {
  const { volume } = await attached(context, 2)
  const end = 2 * OBJECT_SIZE
  assert.equal(await volume.write(end - 10, filled(100, 7)), 10)
  assert.equal(await volume.read(end - 5, new Uint8Array(100)), 5)
  assert.equal(await volume.read(end + 5, new Uint8Array(100)), 0)
  await assert.rejects(volume.write(end, filled(1, 1)), { code: 'no-space' })
})

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

test('a failed index update is looked up before its entry is believed', LIMIT, async (context) => {
  const { volume, sheep, cluster, rules } = await attached(context)
  cluster.ioTimeoutMs = 30
  sheep.script = (request) => {
    if (isPublish(request)) return { kind: 'refuse', result: Result.AGAIN, execute: true }
    return isInodeRead(request) ? { kind: 'refuse', result: Result.HALT } : { kind: 'answer' }
  }
  await assert.rejects(volume.write(0, filled(OBJECT_SIZE, 1)), { code: 'io' })
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
    await assert.rejects(volume.write(OBJECT_SIZE, filled(OBJECT_SIZE, 1)), { code: 'io' })
    await assert.rejects(volume.write(3 * OBJECT_SIZE, filled(OBJECT_SIZE, 1)), { code: 'io' })
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

test('a request of many objects that fails ends only when nothing of it is under way', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  await volume.write(0, filled(2 * OBJECT_SIZE, 1))
  let isOver = false
  sheep.script = ({ oid, ...request }) => {
    if (!isDataWrite({ oid, ...request })) return { kind: 'answer' }
    return oid.index === 0 ? { kind: 'refuse', result: Result.NO_SPACE } : { kind: 'answer', beforeMs: 50 }
  }
  const data = filled(2 * OBJECT_SIZE, 2)
  await assert.rejects(
    volume.write(0, data).finally(() => (isOver = true)),
    { code: 'no-space' },
  )
  assert.ok(isOver)
  data.fill(3)
  const into = new Uint8Array(OBJECT_SIZE)
  sheep.script = () => ({ kind: 'answer' })
  await volume.read(OBJECT_SIZE, into)
  assert.deepEqual(into, filled(OBJECT_SIZE, 2))
})

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

test('two requests to grow at once leave the larger size', LIMIT, async (context) => {
  const { volume, model, vid, sheep } = await attached(context, 4)
  sheep.script = ({ payload }) => ({ kind: 'answer', beforeMs: payload[1] === 0x60 ? 1 : 10 })
  await Promise.allSettled([volume.grow(6 * OBJECT_SIZE), volume.grow(5 * OBJECT_SIZE)])
  assert.equal(model.content(vid).length, 6 * OBJECT_SIZE)
  await assert.rejects(volume.grow(OBJECT_SIZE), { code: 'not-permitted' })
})

test('what another client has grown meanwhile is not cut off', LIMIT, async (context) => {
  const { volume, model, vid, cluster } = await attached(context, 4)
  await cluster.change(writeVdiSize(vid, 8 * OBJECT_SIZE))
  await assert.rejects(volume.grow(6 * OBJECT_SIZE), { code: 'not-permitted' })
  assert.equal(model.content(vid).length, 8 * OBJECT_SIZE)
})

test('a snapshot that was taken unnoticed does not grow with the volume', LIMIT, async (context) => {
  const { volume, model, vid } = await attached(context, 4)
  await model.snapshot('vdi', 's1')
  await volume.grow(8 * OBJECT_SIZE)
  assert.equal(model.content(vid).length, 4 * OBJECT_SIZE)
  assert.equal(model.content(volume.vid).length, 8 * OBJECT_SIZE)
})

test('a VDI that was deleted underneath is stale for good', LIMIT, async (context) => {
  const { volume, model, vid } = await attached(context)
  await volume.write(0, filled(10, 1))
  model.deleteVdi('vdi')
  while (model.has(dataOid(vid, 0))) await pause(1)
  await assert.rejects(volume.read(0, new Uint8Array(10)), { code: 'stale' })
  await assert.rejects(volume.write(0, filled(10, 1)), { code: 'stale' })
  await assert.rejects(volume.refresh(), { code: 'stale' })
})

test('a rollback underneath is stale, whether or not a snapshot was taken before it', LIMIT, async (context) => {
  for (const isSnapshotTaken of [false, true]) {
    const { volume, model, vid } = await attached(context)
    const other = model.createVdi('other', 8 * OBJECT_SIZE)
    await volume.write(0, filled(10, 1))
    if (isSnapshotTaken) await model.snapshot('vdi', 's1')
    model.deleteVdi('vdi')
    const rolledBack = model.clone(other, 'vdi')
    await assert.rejects(
      volume.write(0, filled(10, 2)).then(() => volume.sync()),
      { code: 'stale' },
    )
    assert.equal(model.has(dataOid(rolledBack, 0)), false)
    assert.notEqual(volume.vid, rolledBack)
    assert.equal(volume.vid, vid)
  }
})

test(
  'a VDI that was cloned without a snapshot takes reads, and refuses writes without trying for ever',
  LIMIT,
  async (context) => {
    const { volume, model, vid } = await attached(context)
    await volume.write(0, filled(10, 1))
    model.clone(vid, 'clone')
    await assert.rejects(volume.write(0, filled(10, 2)), { code: 'read-only' })
    const into = new Uint8Array(10)
    await volume.read(0, into)
    assert.deepEqual(into, filled(10, 1))
    await volume.close()
  },
)

test('a discarded object is not created again before its removal is over', LIMIT, async (context) => {
  const { volume, model, vid, rules } = await attached(context)
  model.removalDelayMs = () => 40
  await volume.write(0, filled(OBJECT_SIZE, 1))
  await volume.zero(0, OBJECT_SIZE)
  assert.equal(volume.allocatedBytes, 0)
  await volume.write(0, filled(10, 2))
  assert.equal(model.content(vid)[0], 2)
  assert.deepEqual(rules.violations, [])
})

test('nor before every strip of it is gone', LIMIT, async (context) => {
  const { model, rules, open } = await clusterFor(context, 3)
  const vid = model.createVdi('vdi', 4 * OBJECT_SIZE, { copies: 3, copyPolicy: 0x11 })
  const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
  model.removalDelayMs = () => 40
  await volume.write(0, filled(4 * OBJECT_SIZE, 1))
  await volume.zero(0, 4 * OBJECT_SIZE)
  await volume.write(0, filled(10, 2))
  assert.deepEqual(rules.violations, [])
  assert.equal(model.content(vid)[0], 2)
})

test('nor when another attachment has discarded it', LIMIT, async (context) => {
  const { volume, sheep, model, vid, rules, stage } = await attached(context)
  await volume.write(0, filled(8 * OBJECT_SIZE, 1))
  model.removalDelayMs = () => 100
  sheep.backgroundActive = () => (model.isRemoving(dataOid(vid, 0)) ? 1 : 0)
  await volume.zero(0, 8 * OBJECT_SIZE)
  await volume.close()
  const again = await openVolume(await stage.open(), SPEC, { log: silentLogger() })
  await again.write(0, filled(8 * OBJECT_SIZE, 2))
  assert.deepEqual(rules.violations, [])
  await pause(100)
  assert.deepEqual(model.content(vid), filled(8 * OBJECT_SIZE, 2))
})

test('nor when its removal has to wait for that of many others', LIMIT, async (context) => {
  const { model, rules, open } = await clusterFor(context)
  const vid = model.createVdi('vdi', 32 * OBJECT_SIZE)
  const cluster = await open({ timing: { ...FAST, removalLimitMs: 100 } })
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  let delayMs = 0
  model.removalDelayMs = () => (delayMs += 20)
  await volume.write(0, filled(32 * OBJECT_SIZE, 1))
  await volume.zero(0, 32 * OBJECT_SIZE)
  await volume.write(31 * OBJECT_SIZE, filled(10, 2))
  assert.deepEqual(rules.violations, [])
  assert.equal(model.content(vid)[31 * OBJECT_SIZE], 2)
})

test('nor while a recovery may bring back what was discarded', LIMIT, async (context) => {
  const stage = await clusterFor(context, 2)
  const { model } = stage
  const timing = { ...FAST, recoveryOverlapMs: 300 }
  const vid = model.createVdi('vdi', 8 * OBJECT_SIZE)
  const volume = await openVolume(await stage.open({ timing }), SPEC, { log: silentLogger() })
  model.removalDelayMs = () => 60
  await volume.write(0, filled(8 * OBJECT_SIZE, 1))
  await volume.zero(0, 8 * OBJECT_SIZE)
  model.changeNodes(model.nodes.slice(1), 60, () => timing.recoveryOverlapMs - 20)
  await volume.write(0, filled(8 * OBJECT_SIZE, 2))
  await pause(timing.recoveryOverlapMs)
  assert.deepEqual(model.content(vid), filled(8 * OBJECT_SIZE, 2))
})

test('nor is it when it has been written in the same epoch before', LIMIT, async (context) => {
  const stage = await clusterFor(context, 2)
  const { model } = stage
  const timing = { ...FAST, recoveryOverlapMs: 100 }
  const vid = model.createVdi('vdi', OBJECT_SIZE)
  const volume = await openVolume(await stage.open({ timing }), SPEC, { log: silentLogger() })
  model.changeNodes(model.nodes.slice(1), 5000, () => 0)
  await volume.write(0, filled(OBJECT_SIZE, 1))
  await volume.write(0, filled(OBJECT_SIZE, 2))
  await volume.zero(0, OBJECT_SIZE)
  while (model.has(dataOid(vid, 0))) await pause(1)
  // a sheep that had it on its list, and had not come to it, fetches an old copy
  setTimeout(() => model.create(dataOid(vid, 0), 0, filled(OBJECT_SIZE, 1)), timing.recoveryOverlapMs / 2)
  await volume.write(0, filled(OBJECT_SIZE, 3))
  await pause(timing.recoveryOverlapMs)
  assert.deepEqual(model.content(vid), filled(OBJECT_SIZE, 3))
})

/** A sheep that has taken a lock, or refused to, and lost its answer; `heldBefore`: by a client of the same sheep. */
async function lockLost(context: TestContext, heldBefore: boolean) {
  const { model, sheep, open } = await clusterFor(context, 2)
  model.flags = ClusterFlag.LOCKING
  const vid = model.createVdi('vdi', OBJECT_SIZE)
  const cluster = await open()
  const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
  const state = new Uint8Array(VDI_STATE_SIZE)
  VdiState.vid.set(viewOf(state), vid)
  VdiState.lockState.set(viewOf(state), 2)
  state.set(parseAddr('127.0.0.1') ?? [], 20)
  VdiState.lockOwnerPort.set(viewOf(state), second.address.port)
  const states = [heldBefore ? state : new Uint8Array(0)]
  const refusal = { kind: 'refuse', result: Result.VDI_LOCKED } as const
  const fates: Fate[] = [{ kind: 'cut', execute: 'never' }, refusal]
  second.script = ({ opcode }) => {
    if (opcode === Opcode.LOCK_VDI) return fates.shift() ?? refusal
    if (opcode !== Opcode.GET_VDI_COPIES) return { kind: 'answer' }
    return { kind: 'refuse', result: Result.SUCCESS, payload: states.shift() ?? state }
  }
  await first.stop()
  if (heldBefore) await cluster.query(getClusterDefault()) // the second is home now
  return openVolume(cluster, SPEC, { log: silentLogger() })
}

test('a lock whose answer was lost is known as our own, also after another loss', LIMIT, async (context) => {
  assert.ok((await lockLost(context, false)).isLocked)
})

test('but not when a client of the same sheep had it before', LIMIT, async (context) => {
  await assert.rejects(lockLost(context, true), { code: 'locked' })
})

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

test('objects and inodes that are missing for a moment are waited for', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  await volume.write(0, filled(10, 1))
  const missing = { kind: 'refuse', result: Result.NO_OBJ } as const
  sheep.script = fatesFor(({ opcode }) => opcode === Opcode.READ_OBJ, missing, missing, missing, missing)
  const into = new Uint8Array(10)
  await volume.read(0, into)
  assert.deepEqual(into, filled(10, 1))
  sheep.script = fatesFor(isPublish, missing)
  await volume.write(OBJECT_SIZE, filled(10, 2))
  await volume.close()
  await volume.close()
  await assert.rejects(volume.read(0, into), { code: 'stale' })
})

test('an object that stays away is an error, never zeros', LIMIT, async (context) => {
  const { volume, sheep } = await attached(context)
  await volume.write(0, filled(10, 1))
  sheep.script = ({ opcode, oid }) =>
    opcode === Opcode.READ_OBJ && kindOf(oid) === 'data'
      ? { kind: 'refuse', result: Result.NO_OBJ }
      : { kind: 'answer' }
  await assert.rejects(volume.read(0, new Uint8Array(10)), { code: 'io' })
})

test('growth by others and their writes are seen on refresh', LIMIT, async (context) => {
  const { volume, stage } = await attached(context, 4)
  const reader = await openVolume(await stage.open(), SPEC, { log: silentLogger(), readOnly: true })
  await volume.grow(5 * OBJECT_SIZE)
  await volume.write(4 * OBJECT_SIZE, filled(10, 5))
  assert.equal(await reader.refresh(), true)
  const into = new Uint8Array(10)
  await reader.read(4 * OBJECT_SIZE, into)
  assert.deepEqual(into, filled(10, 5))
  await assert.rejects(reader.write(0, into), { code: 'read-only' })
})

test('an inode that is missing when it is attached is told by name', LIMIT, async (context) => {
  const { stage, sheep, model } = await attached(context)
  model.createVdi('ghost', OBJECT_SIZE)
  sheep.script = ({ opcode, oid }) =>
    opcode === Opcode.READ_OBJ && kindOf(oid) === kindOf(inodeOid(1))
      ? { kind: 'refuse', result: Result.NO_OBJ }
      : { kind: 'answer' }
  const ghost = { name: new TextEncoder().encode('ghost') }
  await assert.rejects(openVolume(await stage.open(), ghost, { log: silentLogger() }), /VDI "ghost"/)
})
