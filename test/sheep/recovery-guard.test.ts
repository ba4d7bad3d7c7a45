import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { ClusterWatch } from '../../src/sheep/cluster-watch.ts'
import type { Try } from '../../src/sheep/delivery.ts'
import { HolderTurns } from '../../src/sheep/holder-turns.ts'
import { KnownCluster } from '../../src/sheep/known-cluster.ts'
import { Outage } from '../../src/sheep/outage.ts'
import { RecoveryGuard, targetOf, type Target } from '../../src/sheep/recovery-guard.ts'
import type { RecoveryProgress } from '../../src/sheep/recovery-survey.ts'
import { toTopology, type Topology } from '../../src/sheep/topology.ts'
import { Ring } from '../../src/wire/ring.ts'
import type { Message } from '../../src/wire/message.ts'
import { parseAddr } from '../../src/wire/node-record.ts'
import { dataOid, oidText } from '../../src/wire/object-id.ts'
import { createObject, readObject, writeObject } from '../../src/wire/object-ops.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { toTestTopology } from './model-cluster.ts'
import { clusterFor, FAST } from './staged-cluster.ts'
import type { ScriptedSheep } from './scripted-sheep.ts'
import { until } from './until.ts'

const LIMIT = { timeout: 20_000 }
const ONE = Uint8Array.of(1)
const FIRST = { epoch: 1, isRecovered: true, diskRecoveries: 0 }
const SECOND = { epoch: 2, isRecovered: false, diskRecoveries: 0 }
const ADDR = parseAddr('127.0.0.1') ?? new Uint8Array(16)

function nodes(epoch: number, ...ports: number[]): Topology {
  const records = ports.map((port) => ({ addr: ADDR, port, zone: port, nrVnodes: 128, space: 1, disks: [] }))
  return toTopology(epoch, records, Ring.of(records))
}

function object(index: number, copies: number | undefined = 2): Target {
  return { oid: dataOid(7, index), copies, isNew: false, wasRemoved: false }
}

/** A guard whose sheep have recovered from what was before, and what becomes of it. */
async function guarded(context: TestContext, { first = nodes(1, 1, 2, 3), maxClearances = 100 } = {}) {
  const state = { progress: 'done' as RecoveryProgress, result: Result.SUCCESS as number, sentIn: 1, surveys: 0 }
  const probed: string[] = []
  const lines: string[] = []
  const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) })
  const known = new KnownCluster(realWorld.clock)
  const watch = new ClusterWatch({
    known,
    gateways: { home: () => Promise.reject(new SheepfsError('unreachable', 'no sheep')) },
    world: realWorld,
    timing: FAST,
    log,
    survey: () => {
      state.surveys++
      return Promise.resolve(state.progress)
    },
  })
  const guard = guardOf(
    known,
    ({ oid }) => {
      probed.push(oidText(oid ?? dataOid(0, 0)))
      return Promise.resolve(answer(state.result, state.sentIn++))
    },
    maxClearances,
  )
  context.after(() => {
    watch.close()
  })
  await watch.begin(first)
  state.progress = 'unknown'
  return { watch, known, guard, state, probed, lines }
}

function guardOf(known: KnownCluster, change: (message: Message) => Promise<Try>, maxClearances = 100): RecoveryGuard {
  const { clock } = realWorld
  const log = silentLogger()
  const outage = new Outage({ timeoutMs: Infinity, timing: FAST, clock, log, onChange: () => undefined })
  const turns = new HolderTurns({ known, home: () => undefined })
  return new RecoveryGuard({
    world: realWorld,
    timing: FAST,
    known,
    outage,
    delivery: { change },
    turns,
    maxClearances,
  })
}

function answer(result: number, sentIn: number): Try {
  return { response: { result, epoch: sentIn, header: new DataView(new ArrayBuffer(48)), payload: ONE }, sentIn }
}

test('while no node comes or goes, changes pass at once', LIMIT, async (context) => {
  const { guard, probed } = await guarded(context)
  assert.deepEqual(await guard.admit(object(1)), FIRST)
  assert.ok(guard.isKept(object(1), FIRST, { sentIn: 1, answeredIn: 1 }))
  assert.deepEqual(probed, [])
})

test('a change answered in a later epoch than it was let through in is not kept', LIMIT, async (context) => {
  const { watch, guard } = await guarded(context)
  watch.notice(2)
  assert.ok(guard.isKept(object(1), FIRST, { sentIn: 1, answeredIn: 1 }))
  assert.ok(!guard.isKept(object(1), FIRST, { sentIn: 1, answeredIn: 2 }))
  assert.ok(!guard.isKept(object(1), SECOND, { sentIn: 1, answeredIn: 2 }))
})

test(
  'in an epoch whose recovery is over it is kept also when its gateway was not heard before',
  LIMIT,
  async (context) => {
    const { guard } = await guarded(context, { first: nodes(7, 1, 2, 3) })
    assert.ok(guard.isKept(object(1), await guard.admit(object(1)), { sentIn: 6, answeredIn: 7 }))
  },
)

test('it is not kept either when the sheep have recovered before the answer', LIMIT, async (context) => {
  const { watch, guard, state, lines } = await guarded(context)
  state.progress = 'done'
  watch.learn(nodes(2, 1, 2, 3))
  await until(() => lines.length === 2)
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [
      { level: 30, epoch: 2, msg: 'sheep came or went' },
      { level: 30, epoch: 2, msg: 'the sheep have recovered' },
    ],
  )
  assert.ok(!guard.isKept(object(1), FIRST, { sentIn: 1, answeredIn: 2 }))
})

test('an object is looked at once in an epoch, by a write that left in it', LIMIT, async (context) => {
  const { watch, guard, state, probed } = await guarded(context)
  watch.notice(3)
  assert.equal((await guard.admit(object(1))).epoch, 3)
  assert.equal(state.sentIn, 4)
  await Promise.all([guard.admit(object(1)), guard.admit(object(1))])
  assert.equal(new Set(probed).size, 1)
  assert.equal(state.sentIn, 4)
})

test('once more when it was removed since, also when its holders have stayed', LIMIT, async (context) => {
  const { watch, guard, state, probed } = await guarded(context)
  const removed = { ...object(1), wasRemoved: true }
  watch.learn(nodes(2, 1, 2, 3))
  state.sentIn = 2
  await guard.admit(object(1))
  assert.equal(probed.length, 0)
  await guard.admit(removed)
  assert.equal(probed.length, 1)
  await guard.admit({ ...object(1), copies: undefined })
  assert.equal(probed.length, 1)
  await guard.admit(removed)
  assert.equal(probed.length, 2)
  assert.ok(!guard.isKept(removed, FIRST, { sentIn: 1, answeredIn: 2 }))
})

test('an object that is forgotten, of more than can be remembered, is looked at again', LIMIT, async (context) => {
  const { watch, guard, probed, state } = await guarded(context, { maxClearances: 4 })
  state.sentIn = 2
  watch.learn(nodes(2, 1, 2))
  const look = async (...indices: number[]): Promise<number> => {
    const before = probed.length
    for (const index of indices) assert.deepEqual(await guard.admit({ ...object(index), copies: undefined }), SECOND)
    return probed.length - before
  }
  assert.equal(await look(0, 1, 2, 3, 4), 5)
  assert.equal(await look(4, 3, 2, 1), 0)
  assert.equal(await look(0), 1)
})

test('a node that leaves meanwhile makes it begin again', LIMIT, async (context) => {
  const { watch, guard, state } = await guarded(context)
  watch.notice(2)
  state.sentIn = 2
  const admitted = guard.admit(object(1))
  await pause(0)
  watch.notice(3)
  assert.equal((await admitted).epoch, 3)
})

test('objects whose holders have stayed are not held up', LIMIT, async (context) => {
  const before = nodes(1, 1, 2, 3, 4, 5)
  const after = nodes(2, 1, 2, 3, 4)
  const { watch, guard, probed } = await guarded(context, { first: before })
  watch.learn(after)
  const holders = (topology: Topology, index: number): string =>
    topology
      .holders(dataOid(7, index), 2)
      .map((one) => one.port)
      .join()
  const indices = Array.from({ length: 100 }, (_, index) => index)
  const moved = indices.filter((index) => holders(before, index) !== holders(after, index))
  const stayed = indices.filter((index) => !moved.includes(index))
  await Promise.all(stayed.map(async (index) => guard.admit(object(index))))
  assert.deepEqual(probed, [])
  assert.ok(stayed.every((index) => guard.isKept(object(index), FIRST, { sentIn: 1, answeredIn: 2 })))
  await Promise.all(moved.map(async (index) => guard.admit(object(index))))
  assert.ok(moved.length > 0)
  assert.deepEqual(new Set(probed).size, moved.length)
})

test('after an epoch that was missed nothing is taken for having stayed', LIMIT, async (context) => {
  const { watch, guard, probed } = await guarded(context)
  watch.learn(nodes(3, 1, 2, 3))
  await guard.admit(object(1))
  assert.ok(probed.length > 0)
})

test('a new object waits only while a sheep may yet find an old one of its name', LIMIT, async (context) => {
  const { watch, guard, state } = await guarded(context)
  const fresh = { ...object(1), isNew: true }
  state.result = Result.NO_OBJ
  state.progress = 'listed'
  state.sentIn = 2
  watch.learn(nodes(2, 1, 2))
  await pause(0)
  let isFenced = false
  const other = Promise.resolve(guard.admit({ ...object(2), copies: undefined })).then(() => (isFenced = true))
  await guard.admit(fresh)
  assert.ok(!isFenced)
  await other
})

test('sheep that cannot be asked hold changes up for a while only', LIMIT, async (context) => {
  const { watch, guard, state, lines } = await guarded(context)
  state.progress = 'done, some unheard'
  watch.learn(nodes(2, 1, 2, 3))
  await until(() => lines.length === 2)
  assert.ok(state.surveys > 2)
  assert.deepEqual(await guard.admit({ ...object(1), isNew: true }), { epoch: 2, isRecovered: true, diskRecoveries: 0 })
})

test('a probe that fails is made again by the next change', LIMIT, async (context) => {
  const { watch, known } = await guarded(context)
  watch.notice(2)
  let probes = 0
  const guard = guardOf(known, () =>
    probes++ === 0 ? Promise.reject(new Error('lost')) : Promise.resolve(answer(Result.SUCCESS, 2)),
  )
  await assert.rejects(async () => guard.admit(object(1)), /lost/)
  assert.equal((await guard.admit(object(1))).epoch, 2)
})

test('only what changes bytes of objects is guarded', () => {
  const oid = dataOid(7, 1)
  const [copies, wasRemoved] = [2, false]
  assert.equal(targetOf(readObject(oid, 0, 1), { copies }), undefined)
  assert.equal(targetOf(writeObject(oid, 0, new Uint8Array(0)), { copies }), undefined)
  assert.deepEqual(targetOf(writeObject(oid, 0, ONE), { copies }), { oid, copies, isNew: false, wasRemoved })
  assert.deepEqual(targetOf(createObject(oid, 0, ONE), {}), { oid, copies: undefined, isNew: true, wasRemoved })
})

test('a write that a recovery undoes is sent again before it is acknowledged', LIMIT, async (context) => {
  const { open, model, sheep } = await clusterFor(context, 2)
  const topology = toTestTopology(model.nodes)
  const moves = (index: number): boolean => topology.holders(dataOid(7, index), 1)[0]?.port !== model.nodes[0]?.port
  const oid = dataOid(7, Array.from({ length: 64 }, (_, index) => index).findIndex(moves))
  model.create(oid, 0, Uint8Array.of(5))
  const cluster = await open()
  const [first] = sheep as [ScriptedSheep]
  const nodes = model.nodes.filter(({ port }) => model.nodes[0]?.port === port)
  model.changeNodes(nodes, 60, () => FAST.recoveryOverlapMs / 2)
  await cluster.change(writeObject(oid, 0, Uint8Array.of(6)), { copies: 1 })
  assert.ok(first.count('WRITE_OBJ') > 2)
  await until(() => model.recovery.isOver)
  assert.deepEqual([...(model.read(oid, 0, 1) ?? [])], [6])
})

test(
  'a recovery without a new epoch holds changes back, and undoes those that are under way',
  LIMIT,
  async (context) => {
    const { watch, guard, state, probed, lines } = await guarded(context)
    const before = await guard.admit(object(1))
    watch.noticeRecovery(1)
    watch.noticeRecovery(1, { isAnother: false })
    assert.ok(!guard.isKept(object(1), before, { sentIn: 1, answeredIn: 1 }))
    assert.deepEqual(await guard.admit(object(1)), { epoch: 1, isRecovered: false, diskRecoveries: 1 })
    assert.equal(probed.length, 1)
    state.progress = 'done'
    while (lines.length < 2) await pause(1)
    assert.deepEqual(await guard.admit(object(2)), { epoch: 1, isRecovered: true, diskRecoveries: 1 })
    assert.equal(probed.length, 1)
    assert.ok(!guard.isKept(object(1), before, { sentIn: 1, answeredIn: 1 }))
  },
)

test('a recovery that begins before the last one is over has its objects looked for again', LIMIT, async (context) => {
  const { watch, guard, state, probed, lines } = await guarded(context)
  watch.noticeRecovery(1)
  const before = await guard.admit(object(1))
  watch.noticeRecovery(1, { isAnother: true })
  assert.ok(!guard.isKept(object(1), before, { sentIn: 1, answeredIn: 1 }))
  assert.deepEqual(await guard.admit(object(1)), { epoch: 1, isRecovered: false, diskRecoveries: 2 })
  assert.equal(probed.length, 2)
  state.progress = 'done'
  await until(() => lines.length === 3)
})

test(
  'a recovery that begins while all seem to have recovered keeps them from counting as such',
  LIMIT,
  async (context) => {
    const { watch, known, state } = await guarded(context)
    watch.noticeRecovery(1)
    state.progress = 'done'
    const { surveys } = state
    await until(() => state.surveys > surveys)
    watch.noticeRecovery(1, { isAnother: true })
    state.progress = 'unknown'
    await pause(2 * FAST.recoveryOverlapMs)
    assert.notEqual(known.recovered, 1)
  },
)

test('sheep are asked whether they recover while their objects are changed, only then', LIMIT, async (context) => {
  const { model, sheep, open } = await clusterFor(context, 3)
  const cluster = await open()
  const vid = model.createVdi('vdi', 4096)
  const oid = dataOid(vid, 0)
  model.create(oid, 0, ONE)
  const change = () => cluster.change(writeObject(oid, 0, ONE), { copies: 3 })
  const asked = (): number => sheep.reduce((sum, one) => sum + one.count('STAT_RECOVERY'), 0)
  const atOpen = asked()
  await pause(3 * FAST.diskPollMs)
  assert.equal(asked(), atOpen)
  await change()
  while (asked() < atOpen + 3) await pause(1)
  await pause(3 * FAST.diskPollMs)
  const atRest = asked()
  await pause(10 * FAST.diskPollMs)
  assert.equal(asked(), atRest, 'they are asked without a reason')
  const recovering = new Uint8Array(24)
  recovering[0] = 1
  for (const one of sheep) {
    one.script = ({ opcode }) =>
      opcode === Opcode.STAT_RECOVERY
        ? { kind: 'refuse', result: Result.SUCCESS, payload: recovering }
        : { kind: 'answer' }
  }
  const emptyWrites = (): number => {
    const requests = sheep.flatMap((one) => one.requests)
    return requests.filter(({ opcode, dataLength }) => opcode === Opcode.WRITE_OBJ && dataLength === 0).length
  }
  await change()
  while (asked() < atRest + 4) await pause(1)
  await change()
  assert.ok(emptyWrites() > 0, 'nobody looked whether all holders have the object')
})

test(
  'a change that took long is believed only when its holders have said that nothing is recovered',
  LIMIT,
  async (context) => {
    const { model, sheep, open } = await clusterFor(context, 2)
    const cluster = await open({ timing: { ...FAST, diskPollMs: 5_000 } })
    const oid = dataOid(model.createVdi('vdi', 4096), 0)
    model.create(oid, 0, ONE)
    const change = () => cluster.change(writeObject(oid, 0, ONE), { copies: 2 })
    await change()
    await pause(5) // the question that went with it is answered
    let isRecovering = false
    const recovering = new Uint8Array(24)
    recovering[0] = 1
    let held = 0
    for (const one of sheep) {
      one.script = ({ opcode, dataLength }) => {
        if (opcode === Opcode.STAT_RECOVERY && isRecovering)
          return { kind: 'refuse', result: Result.SUCCESS, payload: recovering }
        if (opcode !== Opcode.WRITE_OBJ || dataLength === 0 || held > 0) return { kind: 'answer' }
        held++
        isRecovering = true // a disk goes, and the write waits until the object is fetched
        return { kind: 'answer', beforeMs: 200 }
      }
    }
    await change()
    const requests = sheep.flatMap((one) => one.requests)
    const writes = requests.filter(({ opcode, dataLength }) => opcode === Opcode.WRITE_OBJ && dataLength > 0).length
    assert.equal(held, 1)
    assert.equal(writes, 3, 'the change was believed')
  },
)
