import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { realWorld } from '../../src/daemon/real-world.ts'
import type { SheepfsError } from '../../src/errors.ts'
import type { Cluster } from '../../src/sheep/cluster.ts'
import { addressText } from '../../src/sheep/address.ts'
import type { OutageState } from '../../src/sheep/outage.ts'
import type { Timing } from '../../src/sheep/timing.ts'
import { readInodeHeader } from '../../src/sheep/vdi-lookup.ts'
import type { World } from '../../src/sheep/world.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { createObject, readObject, removeObject, writeObject } from '../../src/wire/object-ops.ts'
import { ClusterFlag, getClusterDefault } from '../../src/wire/info-ops.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { toTestTopology } from './model-cluster.ts'
import { FAST, clusterFor } from './staged-cluster.ts'
import type { Fate, ScriptedSheep } from './scripted-sheep.ts'
import type { SheepRequest } from './sheep-request.ts'
import { until } from './until.ts'

const LIMIT = { timeout: 20_000 }
const OBJECT = dataOid(7, 0)
const ONE = Uint8Array.of(1)

/** A script that gives `fates` to the requests of one opcode, in turn, and answers everything else. */
function inTurn(opcode: number, ...fates: Fate[]): (request: SheepRequest) => Fate {
  return (request) => (request.opcode === opcode ? fates.shift() : undefined) ?? { kind: 'answer' }
}

/** Long enough hold-offs for a lost gateway not to be the first choice again. */
const PATIENT: Timing = { ...FAST, firstBackoffMs: 2000, lastBackoffMs: 2000 }

async function staged(context: TestContext, count = 1) {
  const staged = await clusterFor(context, count)
  staged.model.create(OBJECT, 0, Uint8Array.of(5))
  const [first, second] = staged.sheep as [ScriptedSheep, ScriptedSheep]
  return { ...staged, first, second }
}

test('a read goes on at the next address when the gateway dies', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ timing: PATIENT })
  assert.deepEqual(cluster.homeAddress, first.address)
  first.script = inTurn(Opcode.READ_OBJ, { kind: 'cut', execute: 'never' })
  const { payload } = await cluster.read(readObject(OBJECT, 0, 1))
  assert.deepEqual([...payload], [5])
  assert.deepEqual(cluster.homeAddress, second.address)
})

test('a node of the cluster is used when none of the configured addresses answers', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ addresses: [first.address] })
  await first.stop()
  await cluster.read(readObject(OBJECT, 0, 1))
  assert.deepEqual(cluster.homeAddress, second.address)
})

test('when nobody answers all are named', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const names = [first, second].map(({ address }) => addressText(address))
  await Promise.all([first.stop(), second.stop()])
  await assert.rejects(open({ ioTimeoutMs: 0 }), ({ code, message }: SheepfsError) => {
    assert.equal(code, 'unreachable')
    for (const name of names) assert.ok(message.includes(name), message)
    return true
  })
})

test('a sheep that takes connections and never answers is not chosen', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  first.isStopped = true
  const cluster = await open()
  assert.deepEqual(cluster.homeAddress, second.address)
})

test('a gateway that stops answering is left at the deadline', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ timing: PATIENT })
  first.isStopped = true
  await cluster.change(writeObject(OBJECT, 0, ONE))
  assert.deepEqual(cluster.homeAddress, second.address)
})

test(
  'a sheep that leaves requests unanswered is told of once, and once more when it answers',
  LIMIT,
  async (context) => {
    const { open, first } = await staged(context)
    const lines: string[] = []
    const log = pino({ base: null, timestamp: false }, { write: (line) => void lines.push(line) })
    const states: OutageState['kind'][] = []
    const onState = ({ kind }: OutageState): unknown => states.push(kind)
    const cluster = await open({ log, onState, timing: { ...FAST, deadlineMs: 10_000 } })
    first.script = inTurn(Opcode.READ_OBJ, { kind: 'answer', beforeMs: 200 }, { kind: 'answer', beforeMs: 200 })
    await Promise.all([cluster.read(readObject(OBJECT, 0, 1)), cluster.read(readObject(OBJECT, 0, 1))])
    await until(() => lines.length === 2)
    const sheep = `127.0.0.1:${first.address.port}`
    const told = lines.map((line) => JSON.parse(line) as unknown)
    assert.deepEqual(told, [
      { level: 40, sheep, msg: 'a sheep has not answered for 0.05 s; it counts as lost after 10 s' },
      { level: 30, sheep, msg: 'the sheep answers again' },
    ])
    assert.deepEqual(states, ['waiting', 'serving'])
  },
)

test('a gateway that is shutting down is left for another', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ timing: PATIENT })
  first.script = inTurn(Opcode.WRITE_OBJ, { kind: 'refuse', result: Result.SHUTDOWN })
  await cluster.change(writeObject(OBJECT, 0, ONE))
  assert.deepEqual(cluster.homeAddress, second.address)
  assert.equal(first.count('WRITE_OBJ'), 1)
})

test('transient results are outlived, others are given back', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  const cluster = await open()
  const transient = [Result.WAIT_FOR_JOIN, Result.HALT, Result.NETWORK_ERROR, Result.AGAIN, Result.SYSTEM_ERROR]
  first.script = inTurn(Opcode.WRITE_OBJ, ...transient.map((result) => ({ kind: 'refuse', result }) as const))
  assert.equal((await cluster.change(writeObject(OBJECT, 0, ONE))).result, Result.SUCCESS)
  assert.equal(first.count('WRITE_OBJ'), transient.length + 1)
  assert.equal((await cluster.change(writeObject(dataOid(8, 0), 0, ONE))).result, Result.NO_OBJ)
})

test('a lost write is not sent again before its first copy has been executed', LIMIT, async (context) => {
  const { open, first, model, rules } = await staged(context)
  const cluster = await open()
  first.script = inTurn(Opcode.CREATE_AND_WRITE_OBJ, { kind: 'cut', execute: 'later', laterMs: 60 })
  await cluster.change(createObject(OBJECT, 0, Uint8Array.of(1)))
  await cluster.change(writeObject(OBJECT, 0, Uint8Array.of(2)))
  await until(() => first.isIdle)
  assert.deepEqual([...(model.read(OBJECT, 0, 1) ?? [])], [2])
  assert.deepEqual(rules.violations, [])
})

test('nor is a lost removal, which would take with it what is created next', LIMIT, async (context) => {
  const { open, first, model } = await staged(context, 2)
  const cluster = await open({ timing: PATIENT })
  first.script = inTurn(Opcode.REMOVE_OBJ, { kind: 'cut', execute: 'later', laterMs: 50 })
  await cluster.change(removeObject(OBJECT))
  await cluster.change(createObject(OBJECT, 0, ONE))
  await until(() => first.isIdle)
  assert.ok(model.has(OBJECT))
})

test('a lost write goes to another gateway only after the lost one has executed it', LIMIT, async (context) => {
  const { open, first, second, model } = await staged(context, 2)
  const cluster = await open({ timing: PATIENT })
  first.script = inTurn(Opcode.WRITE_OBJ, { kind: 'cut', execute: 'later', laterMs: 50 })
  await cluster.change(writeObject(OBJECT, 0, Uint8Array.of(1)))
  await cluster.change(writeObject(OBJECT, 0, Uint8Array.of(2)))
  assert.equal(second.count('WRITE_OBJ'), 2)
  await until(() => first.isIdle)
  assert.deepEqual([...(model.read(OBJECT, 0, 1) ?? [])], [2])
})

test(
  'when a name stands for several sheep, it is the lost one that is asked whether it is done',
  LIMIT,
  async (context) => {
    const { open, first, second, model } = await staged(context, 2)
    let named = first
    const world: World = {
      ...realWorld,
      dial: (address, receiver) => realWorld.dial(address.host === 'sheep.example' ? named.address : address, receiver),
    }
    const cluster = await open({ world, addresses: [{ host: 'sheep.example', port: 7000 }], timing: PATIENT })
    const cut = inTurn(Opcode.WRITE_OBJ, { kind: 'cut', execute: 'later', laterMs: 100 })
    first.script = (request) => {
      const fate = cut(request)
      if (fate.kind === 'cut') named = second
      return fate
    }
    await cluster.change(writeObject(OBJECT, 0, Uint8Array.of(1)))
    await cluster.change(writeObject(OBJECT, 0, Uint8Array.of(2)))
    await until(() => first.isIdle)
    assert.deepEqual([...(model.read(OBJECT, 0, 1) ?? [])], [2])
  },
)

test(
  'a change that must not be repeated is given back when nobody knows whether it happened',
  LIMIT,
  async (context) => {
    const { open, first } = await staged(context)
    const cluster = await open()
    const message = writeObject(OBJECT, 0, ONE)
    for (const fate of [
      { kind: 'cut', execute: 'first' },
      { kind: 'refuse', result: Result.NETWORK_ERROR },
    ] as const) {
      first.script = inTurn(Opcode.WRITE_OBJ, fate)
      assert.equal(await cluster.changeOnce(message), undefined)
    }
    first.script = inTurn(Opcode.WRITE_OBJ, { kind: 'refuse', result: Result.HALT })
    assert.equal((await cluster.changeOnce(message))?.result, Result.SUCCESS)
  },
)

test('a limit on waiting set while a request waits holds for that request', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  const states: OutageState['kind'][] = []
  const cluster = await open({ onState: ({ kind }) => states.push(kind) })
  first.script = () => ({ kind: 'refuse', result: Result.HALT })
  const write = cluster.change(writeObject(OBJECT, 0, ONE))
  await until(() => states.length > 0)
  assert.deepEqual(states, ['waiting'])
  assert.equal(cluster.state.kind, 'waiting')
  cluster.ioTimeoutMs = 1
  await assert.rejects(write, { code: 'unreachable', message: /too few nodes/ })
  assert.deepEqual(states, ['waiting', 'serving'])
})

test('close ends what waits and what is in flight, and starts nothing any more', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  const cluster = await open()
  first.script = () => ({ kind: 'silent', execute: false })
  const inFlight = assert.rejects(cluster.read(readObject(OBJECT, 0, 1)), { code: 'closed' })
  await until(() => cluster.inFlight > 0)
  cluster.close()
  cluster.close()
  await inFlight
  await assert.rejects(cluster.read(readObject(OBJECT, 0, 1)), { code: 'closed' })
})

test(
  'a closed client connects to no sheep any more, not even to one that it had not asked before',
  LIMIT,
  async (context) => {
    const { open, first, second } = await staged(context, 2)
    const cluster = await open({ addresses: [first.address] })
    const before = second.connections
    cluster.close()
    await assert.rejects(cluster.ask(second.address, getClusterDefault()), { code: 'closed' })
    assert.equal(second.connections, before)
  },
)

test('other addresses are only taken when one of them answers', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ addresses: [first.address] })
  await second.stop()
  await assert.rejects(cluster.setAddresses([second.address]), { code: 'unreachable' })
  assert.deepEqual(cluster.addresses, [first.address])
  assert.deepEqual(cluster.homeAddress, first.address)
  await second.start()
  await cluster.setAddresses([second.address])
  assert.deepEqual(cluster.addresses, [second.address])
  assert.deepEqual(cluster.homeAddress, second.address)
})

/** Reads objects of all holders, until something has come of it. */
function readUntil(cluster: Cluster, isEnough: () => boolean): Promise<void> {
  const oids = Array.from({ length: 32 }, (_, index) => dataOid(7, index))
  return until(async () => {
    await Promise.all(oids.map((oid) => cluster.read(readObject(oid, 0, 1), { copies: 1 })))
    return isEnough()
  })
}

test('reads go to a sheep that holds the object, and to home when it cannot be reached', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open()
  await readUntil(cluster, () => second.count('READ_OBJ') > 0)
  await second.stop()
  await readUntil(cluster, () => true)
  assert.equal(cluster.inFlight, 0)
  assert.deepEqual(cluster.homeAddress, first.address)
})

test('no sheep becomes home over a connection from before its cluster was formatted', LIMIT, async (context) => {
  const { open, model, first, second } = await staged(context, 2)
  const cluster = (await open()).present
  await readUntil(cluster, () => second.count('READ_OBJ') > 0)
  assert.deepEqual(cluster.homeAddress, first.address)
  model.ctimeSeconds++ // in the same epoch, and no connection ends by it
  await first.stop()
  await assert.rejects(cluster.change(writeObject(OBJECT, 0, Uint8Array.of(6)), { copies: 2 }), { code: 'stale' })
  assert.deepEqual([...(model.read(OBJECT, 0, 1) ?? [])], [5])
})

test('what a holder cannot read is asked for at home before it is believed', LIMIT, async (context) => {
  const { open, second } = await staged(context, 2)
  const cluster = await open()
  second.script = ({ opcode }) =>
    opcode === Opcode.READ_OBJ ? { kind: 'refuse', result: Result.EIO } : { kind: 'answer' }
  const oids = Array.from({ length: 16 }, (_, index) => dataOid(7, index))
  await until(async () => {
    const reads = oids.map((oid) => cluster.read(readObject(oid, 0, 1), { copies: 1 }))
    const results = (await Promise.all(reads)).map(({ result }) => result)
    assert.ok(!results.includes(Result.EIO))
    return second.count('READ_OBJ') > 0
  })
})

test('nor is a holder believed that may not know yet that it is none any more', LIMIT, async (context) => {
  const { open, model, second } = await staged(context, 2)
  const cluster = await open()
  const holders = toTestTopology(model.nodes)
  const isAtSecond = (index: number): boolean => holders.holders(dataOid(7, index), 1)[0]?.port === second.address.port
  const oid = dataOid(7, Array.from({ length: 64 }, (_, index) => index).findIndex(isAtSecond))
  model.create(oid, 0, Uint8Array.of(5))
  const read = async (): Promise<number[]> => [...(await cluster.read(readObject(oid, 0, 1), { copies: 1 })).payload]
  while (second.count('READ_OBJ') === 0) assert.deepEqual(await read(), [5])
  second.script = ({ opcode }) => {
    if (opcode === Opcode.STAT_RECOVERY) return { kind: 'silent', execute: false }
    const isRead = opcode === Opcode.READ_OBJ
    return isRead ? { kind: 'refuse', result: Result.SUCCESS, payload: Uint8Array.of(5) } : { kind: 'answer' }
  }
  model.epoch++
  await cluster.change(writeObject(oid, 0, Uint8Array.of(6)))
  assert.deepEqual(await read(), [6])
})

/** Deadlines that no test lives to see. */
const SLOW: Timing = { ...FAST, deadlineMs: 60_000, shortestDeadlineMs: 60_000 }

test('a read that a holder leaves unanswered is answered by another one', LIMIT, async (context) => {
  const { open, model, first, second } = await staged(context, 2)
  const cluster = await open({ timing: SLOW })
  const oid = dataOid(7, 1)
  model.create(oid, 0, Uint8Array.of(5))
  const read = async (into?: Uint8Array) => cluster.read(readObject(oid, 0, 1), { copies: 2, ...(into && { into }) })
  // each goes to the holder that is less busy: one after the other, to both of them
  const readBoth = async (buffers: readonly (Uint8Array | undefined)[]) => {
    const answers = []
    for (const into of buffers) {
      answers.push(read(into))
      await setImmediate()
    }
    return Promise.all(answers)
  }
  await until(async () => {
    await readBoth([undefined, undefined, undefined])
    return first.count('READ_OBJ') > 0 && second.count('READ_OBJ') > 0
  })
  const held = first.count('READ_OBJ')
  first.script = ({ opcode }) =>
    opcode === Opcode.READ_OBJ ? { kind: 'answer', afterMs: 3 * FAST.holderPatienceMs } : { kind: 'answer' }
  const buffers: Uint8Array[] = []
  await until(async () => {
    const some = [new Uint8Array(1), new Uint8Array(1)]
    for (const { result } of await readBoth(some)) assert.equal(result, Result.SUCCESS)
    buffers.push(...some)
    return first.count('READ_OBJ') > held
  })
  for (const buffer of buffers) {
    assert.deepEqual(buffer, Uint8Array.of(5))
    buffer.fill(9) // it is the caller's again
  }
  await until(() => cluster.inFlight === 0)
  for (const buffer of buffers) assert.deepEqual(buffer, Uint8Array.of(9), 'a late answer went into it')
})

test(
  'an inode that home does not answer for, as it waits for another sheep, is read from a holder',
  LIMIT,
  async (context) => {
    const { open, model, first } = await staged(context, 3)
    const cluster = await open({ timing: SLOW })
    const vids = Array.from({ length: 8 }, (_, number) => model.createVdi(`vdi${number}`, 1 << 22))
    first.script = inTurn(Opcode.READ_OBJ, ...vids.flatMap((): Fate[] => [{ kind: 'silent', execute: false }]))
    for (const vid of vids) assert.equal((await readInodeHeader(cluster, vid)).vdiId, vid)
    first.script = ({ opcode }) =>
      opcode === Opcode.READ_OBJ ? { kind: 'silent', execute: false } : { kind: 'answer' }
    for (const vid of vids) assert.equal((await readInodeHeader(cluster, vid)).vdiId, vid)
    assert.deepEqual(cluster.homeAddress, first.address)
  },
)

test(
  'a home that does not answer, nor on a second connection, is lost long before its deadline',
  LIMIT,
  async (context) => {
    const { open, first, second } = await staged(context, 2)
    const cluster = await open({ timing: SLOW })
    assert.deepEqual(cluster.homeAddress, first.address)
    first.isStopped = true
    assert.equal((await cluster.read(readObject(OBJECT, 0, 1))).payload[0], 5)
    assert.deepEqual(cluster.homeAddress, second.address)
    first.isStopped = false
  },
)

test('only so many changes are under way at a time that one sheep has to take part in', LIMIT, async (context) => {
  const { open, model, first } = await staged(context, 2)
  const cluster = await open()
  const objects = Array.from({ length: 60 }, (_, index) => dataOid(7, index))
  for (const oid of objects) model.create(oid, 0, Uint8Array.of(5))
  let most = 0
  first.script = ({ opcode }) => {
    if (opcode === Opcode.WRITE_OBJ) most = Math.max(most, cluster.inFlight)
    return { kind: 'answer', afterMs: 20 }
  }
  const change = (copies: number) =>
    Promise.all(objects.map((oid) => cluster.change(writeObject(oid, 0, ONE), { copies })))
  await change(2)
  assert.ok(most >= 24 && most < 32, `${most} requests are in flight`) // with questions about recovery
})

test('one that answers there is waited for', LIMIT, async (context) => {
  const { open, first, second } = await staged(context, 2)
  const cluster = await open({ timing: SLOW })
  const lateMs = 3 * (FAST.silenceMs + FAST.signOfLifeMs)
  first.script = inTurn(Opcode.READ_OBJ, { kind: 'answer', afterMs: lateMs })
  assert.equal((await cluster.read(readObject(OBJECT, 0, 1))).payload[0], 5)
  assert.deepEqual(cluster.homeAddress, first.address)
  assert.equal(second.count('READ_OBJ'), 0)
})

test('the node list is read again when a response shows a new epoch', LIMIT, async (context) => {
  const { open, model, first, second } = await staged(context, 2)
  model.nodes = model.nodes.filter(({ port }) => port === first.address.port)
  const cluster = await open({ addresses: [first.address] })
  assert.equal(first.count('GET_NODE_LIST'), 1)
  model.nodes = [...model.nodes, { port: second.address.port, zone: 1 }]
  model.epoch = 2
  await cluster.read(readObject(OBJECT, 0, 1))
  await until(() => first.count('GET_NODE_LIST') === 2)
  await cluster.read(readObject(OBJECT, 0, 1))
  await first.stop()
  await cluster.read(readObject(OBJECT, 0, 1))
  assert.deepEqual(cluster.homeAddress, second.address)
  await until(() => second.count('GET_NODE_LIST') > 0) // home was lost: other sheep may have come
})

test('opening says that nobody answers, without waiting', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  await first.stop()
  await assert.rejects(open(), { code: 'unreachable' })
})

test('a sheep that does not know its cluster yet is not believed to have no locks', LIMIT, async (context) => {
  const { open, model, first } = await staged(context)
  model.flags = ClusterFlag.LOCKING
  first.script = inTurn(Opcode.STAT_CLUSTER, { kind: 'refuse', result: Result.SUCCESS })
  await assert.rejects(open(), { code: 'unreachable', message: /does not know its cluster yet/ })
  assert.equal((await open()).hasLocking, true)
})

test(
  'a sheep of 0.7 or 0.8 tells its cluster in a record of all nodes only, and keeps no locks',
  LIMIT,
  async (context) => {
    const { open, model, first } = await staged(context)
    model.flags = ClusterFlag.LOCKING // what stands there in an older record is something else
    const mismatch: Fate = { kind: 'refuse', result: Result.VER_MISMATCH }
    const nothing: Fate = { kind: 'refuse', result: Result.SUCCESS }
    first.script = inTurn(Opcode.STAT_CLUSTER, mismatch, nothing, { kind: 'answer' }, nothing)
    const cluster = await open()
    assert.deepEqual([cluster.hasLocking, typeof cluster.ctime], [false, 'string'])
  },
)

test(
  'a sheep of 0.9 that comes to know its cluster between two questions is not taken for one',
  LIMIT,
  async (context) => {
    const { open, model, first } = await staged(context)
    model.flags = ClusterFlag.LOCKING
    const mismatch: Fate = { kind: 'refuse', result: Result.VER_MISMATCH }
    first.script = inTurn(Opcode.STAT_CLUSTER, mismatch, { kind: 'refuse', result: Result.SUCCESS })
    await assert.rejects(open(), { code: 'unreachable', message: /does not know its cluster yet/ })
    assert.equal((await open()).hasLocking, true)
  },
)

test('a sheep of 0.8 or 0.9 is not asked what it holds: it could die of that', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  first.script = inTurn(Opcode.STAT_CLUSTER, { kind: 'refuse', result: Result.VER_MISMATCH })
  const cluster = await open()
  assert.equal(await cluster.isHeld(dataOid(9, 9), 1), true)
  assert.equal(first.count('EXIST'), 0)
})

test('a cluster that only speaks an older version is spoken to in it', LIMIT, async (context) => {
  const { open, first } = await staged(context)
  const refuse: Fate = { kind: 'refuse', result: Result.VER_MISMATCH }
  first.script = inTurn(Opcode.STAT_CLUSTER, refuse, refuse)
  const cluster = await open({ timing: { ...FAST, settleSilentMs: 30 } })
  assert.equal(cluster.protoVer, 0x08)
})

const LONG_CALM: Timing = { ...FAST, zoneCalmMs: 1e9 }

test('what is erasure-coded is only changed while there is a zone for each strip', LIMIT, async (context) => {
  const { open, model, first } = await staged(context, 3)
  const states: OutageState[] = []
  const cluster = await open({ onState: (state) => states.push(state), timing: LONG_CALM })
  const all = model.nodes
  const change = () => cluster.change(writeObject(OBJECT, 0, ONE), { copies: 3, strips: 3 })
  await change()
  model.nodes = all.slice(0, 2)
  model.epoch++
  let isWritten = false
  const writing = change().then(() => (isWritten = true))
  await until(() => states.some((state) => state.kind === 'waiting' && /2 zones.* needs 3/.test(state.reason)))
  assert.equal(isWritten, false)
  model.nodes = all // those that others have waited for change no epoch
  await writing
  assert.ok(first.count('GET_NODE_LIST') > 3)
})

test(
  'a sheep that a change is sent through is known as a gateway before, and home stays first',
  LIMIT,
  async (context) => {
    const { open, first, second } = await staged(context, 2)
    const gateways: string[] = []
    const cluster = await open({ addresses: [first.address], onGateway: (one) => void gateways.push(addressText(one)) })
    let known = ''
    second.script = (request) => {
      if (request.opcode === Opcode.WRITE_OBJ) known = gateways.join()
      return { kind: 'answer' }
    }
    const [home, holder] = [first, second].map(({ address }) => addressText(address))
    await cluster.changeOnce(writeObject(OBJECT, 0, ONE), { at: second.address })
    assert.equal(known, [home, holder, home].join())
  },
)

test(
  'while a node is away and no zone is to spare, what is erasure-coded waits for others to follow',
  LIMIT,
  async (context) => {
    const { open, model } = await staged(context, 4)
    const states: OutageState[] = []
    const cluster = await open({ onState: (state) => states.push(state), timing: LONG_CALM })
    const all = model.nodes
    const change = (strips: number) => cluster.change(writeObject(OBJECT, 0, ONE), { copies: strips, strips })
    await change(4)
    model.nodes = all.slice(0, 3)
    model.epoch++
    await change(2)
    let isWritten = false
    const writing = change(3).then(() => (isWritten = true))
    await until(() => states.some((state) => state.kind === 'waiting' && state.reason.includes('no zone to spare')))
    assert.equal(isWritten, false)
    model.nodes = all
    model.epoch++
    await change(2)
    await writing
  },
)

test('it waits for that no longer than it may take', LIMIT, async (context) => {
  const { open, model } = await staged(context, 4)
  const cluster = await open()
  const change = () => cluster.change(writeObject(OBJECT, 0, ONE), { copies: 3, strips: 3 })
  await change()
  model.nodes = model.nodes.slice(0, 3)
  model.epoch++
  await change()
})

test('a node list of a lower epoch than was known lets home be asked which cluster it is', LIMIT, async (context) => {
  const { open, model, first } = await staged(context, 3)
  const cluster = await open({ timing: LONG_CALM })
  const change = () => cluster.change(writeObject(OBJECT, 0, ONE), { copies: 3, strips: 3 })
  model.nodes = model.nodes.slice(0, 2)
  model.epoch = 3
  const writing = change()
  await until(() => first.count('GET_NODE_LIST') > 2)
  first.cutAll() // what comes on the next connection has not been in a higher epoch
  model.epoch = 1
  const asked = first.count('STAT_CLUSTER')
  await until(() => first.count('STAT_CLUSTER') > asked + 1)
  cluster.close()
  await assert.rejects(writing)
})
