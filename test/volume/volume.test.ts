import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import type { OutageState } from '../../src/sheep/outage.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Inode } from '../../src/wire/inode.ts'
import { dataOid, inodeOid, kindOf } from '../../src/wire/object-id.ts'
import { writeVdiSize } from '../../src/wire/object-ops.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { clusterFor } from '../sheep/staged-cluster.ts'
import { until } from '../sheep/until.ts'
import type { SheepRequest } from '../sheep/sheep-request.ts'
import { attached, fatesFor, filled, OBJECT_SIZE, SPEC } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

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

test('a VDI that was deleted underneath is stale for good', LIMIT, async (context) => {
  const { volume, model, vid } = await attached(context)
  await volume.write(0, filled(10, 1))
  model.deleteVdi('vdi')
  await until(() => !model.has(dataOid(vid, 0)))
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

test('what nobody has is waited for while a node is away, and is an error when none is', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context, 2)
  model.createVdi('vdi', OBJECT_SIZE)
  const states: string[] = []
  const onState = (state: OutageState) => states.push(state.kind === 'waiting' ? state.reason : '')
  const volume = await openVolume(await open({ onState }), SPEC, { log: silentLogger() })
  await volume.write(0, filled(10, 1))
  const all = model.nodes
  const isMissing = ({ opcode, oid }: SheepRequest) => opcode === Opcode.READ_OBJ && kindOf(oid) === 'data'
  const hide = (): void => {
    for (const one of sheep) {
      one.script = (request) => (isMissing(request) ? { kind: 'refuse', result: Result.NO_OBJ } : { kind: 'answer' })
    }
  }
  model.changeNodes(all.slice(0, 1), 0, () => 0)
  await volume.write(0, filled(10, 1)) // the client learns of it
  hide()
  const into = new Uint8Array(10)
  const reading = volume.read(0, into)
  await until(() => states.some((reason) => reason.includes('an object is missing'))) // told later than it would be an error
  for (const one of sheep) one.script = () => ({ kind: 'answer' })
  await reading
  assert.deepEqual(into, filled(10, 1))
  model.changeNodes(all, 0, () => 0)
  await volume.write(0, filled(10, 1))
  hide()
  await assert.rejects(volume.read(0, into), { code: 'io' })
})

for (const [from, to] of [
  [1, 2],
  [2, 1],
] as const) {
  test(`another number of copies is adopted: ${to} instead of ${from}`, LIMIT, async (context) => {
    const { model, sheep, rules, open } = await clusterFor(context, 2)
    const vid = model.createVdi('vdi', 4 * OBJECT_SIZE, { copies: from })
    const volume = await openVolume(await open(), SPEC, { log: silentLogger() })
    await volume.write(0, filled(10, 1))
    model.write(inodeOid(vid), Inode.nrCopies.offset, filled(1, to))
    await volume.refresh()
    const isLook = ({ opcode, dataLength }: SheepRequest): boolean => opcode === Opcode.READ_OBJ && dataLength === 4
    for (const one of sheep) one.script = fatesFor(isPublish, { kind: 'cut', execute: 'first' })
    await volume.write(OBJECT_SIZE, filled(10, 2))
    assert.equal(
      sheep.filter(({ requests }) => requests.some(isLook)).length,
      to,
      'where what became of it is looked for',
    )
    assert.deepEqual(rules.violations, [])
  })
}
