import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { silentLogger } from '../../src/log.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import type { ScriptedSheep } from '../sheep/scripted-sheep.ts'
import { isPublish } from '../sheep/sheep-rules.ts'
import { clusterFor, FAST } from '../sheep/staged-cluster.ts'
import { until } from '../sheep/until.ts'
import { attached, filled, OBJECT_SIZE, SPEC } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }

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
  const { volume, model, vid, rules, stage } = await attached(context)
  await volume.write(0, filled(8 * OBJECT_SIZE, 1))
  model.removalDelayMs = () => 100
  await volume.zero(0, 8 * OBJECT_SIZE)
  await volume.close()
  const again = await openVolume(await stage.open(), SPEC, { log: silentLogger() })
  await again.write(0, filled(8 * OBJECT_SIZE, 2))
  assert.deepEqual(rules.violations, [])
  await until(() => !model.isRemoving(dataOid(vid, 0)))
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
  await until(() => model.recovery.isOver)
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
  await until(() => !model.has(dataOid(vid, 0)))
  // a sheep that had it on its list, and had not come to it, fetches an old copy
  const lateFetch = sleep(timing.recoveryOverlapMs / 2).then(() => {
    model.create(dataOid(vid, 0), 0, filled(OBJECT_SIZE, 1))
  })
  await volume.write(0, filled(OBJECT_SIZE, 3))
  await lateFetch
  assert.deepEqual(model.content(vid), filled(OBJECT_SIZE, 3))
})

test(
  'nor when its removal takes longer than what somebody else may have given back is waited for',
  LIMIT,
  async (context) => {
    const { model, rules, open } = await clusterFor(context)
    const vid = model.createVdi('vdi', 8 * OBJECT_SIZE)
    const volume = await openVolume(await open({ timing: { ...FAST, removalLimitMs: 50 } }), SPEC, {
      log: silentLogger(),
    })
    model.removalDelayMs = () => 120
    await volume.write(0, filled(OBJECT_SIZE, 1))
    await volume.zero(0, OBJECT_SIZE)
    await volume.write(0, filled(10, 2))
    assert.deepEqual(rules.violations, [])
    assert.equal(model.content(vid)[0], 2)
  },
)

test(
  'what stays, because something else refers to it, is waited for until every sheep has been idle',
  LIMIT,
  async (context) => {
    const { model, sheep, open } = await clusterFor(context, 2)
    const vid = model.createVdi('vdi', 8 * OBJECT_SIZE)
    const volume = await openVolume(await open({ timing: { ...FAST, removalLimitMs: 1_000_000 } }), SPEC, {
      log: silentLogger(),
    })
    const [first, second] = sheep as [ScriptedSheep, ScriptedSheep]
    const turn = (): number => Math.floor(performance.now() / 150) % 2
    first.backgroundActive = turn
    second.backgroundActive = () => 1 - turn() // never at the same time
    await volume.write(0, filled(OBJECT_SIZE, 1))
    await volume.zero(0, OBJECT_SIZE)
    await until(() => !model.has(dataOid(vid, 0)))
    model.create(dataOid(vid, 0), 0, filled(OBJECT_SIZE, 1))
    await volume.write(0, filled(OBJECT_SIZE, 2))
    assert.deepEqual(model.content(vid).subarray(0, OBJECT_SIZE), filled(OBJECT_SIZE, 2))
  },
)

test(
  'all volumes of a client ask together whether the sheep are idle, over the connections that are there',
  LIMIT,
  async (context) => {
    const { model, sheep, open } = await clusterFor(context)
    const [one] = sheep as [ScriptedSheep]
    const names = Array.from({ length: 20 }, (_, i) => `vdi${i}`)
    for (const name of names) model.createVdi(name, OBJECT_SIZE)
    const cluster = await open()
    const encoder = new TextEncoder()
    await Promise.all(names.map((name) => openVolume(cluster, { name: encoder.encode(name) }, { log: silentLogger() })))
    let isDone = false
    await Promise.race([cluster.idleWatch.allDone(() => !isDone), sleep(10_000)])
    isDone = true
    assert.ok(one.count('STAT') >= 5 && one.count('STAT') <= 20, `${one.count('STAT')} questions`)
  },
)

test('an object whose index update waits is not taken for gone because all sheep are idle', LIMIT, async (context) => {
  const { model, rules, sheep, open } = await clusterFor(context)
  const [one] = sheep as [ScriptedSheep]
  const vid = model.createVdi('vdi', 8 * OBJECT_SIZE)
  const cluster = await open()
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  model.removalDelayMs = () => 60
  await volume.write(0, filled(2 * OBJECT_SIZE, 1))
  one.script = (request) => (isPublish(request) ? { kind: 'answer', beforeMs: 100 } : { kind: 'answer' })
  const given = volume.zero(0, OBJECT_SIZE)
  await cluster.idleWatch.allDone(() => true)
  await given
  await volume.write(0, filled(10, 2))
  assert.deepEqual(rules.violations, [])
  assert.equal(model.content(vid)[0], 2)
})
