import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import type { FaultRule } from '../../src/lamb/faults.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { viewOf } from '../../src/wire/field.ts'
import { ClusterFlag, getClusterDefault, VDI_STATE_SIZE, VdiState } from '../../src/wire/info-ops.ts'
import { parseAddr } from '../../src/wire/node-record.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { Opcode, Req, Result } from '../../src/wire/sd-proto.ts'
import { getVdiInfo, lockVdi, releaseVdi } from '../../src/wire/vdi-ops.ts'
import { scratchDirectory } from '../lamb/scratch.ts'
import type { Fate, ScriptedSheep } from '../sheep/scripted-sheep.ts'
import { clusterFor, FAST } from '../sheep/staged-cluster.ts'
import { until } from '../sheep/until.ts'
import { OBJECT_SIZE } from './staged-volume.ts'

const LIMIT = { timeout: 20_000 }
const SPEC = { name: Buffer.from('vdi') }

/** A cluster with locks, whose only sheep is known as 127.0.0.1 and listens on every interface. */
async function locking(t: TestContext) {
  const lamb = new Lamb({
    store: await scratchDirectory(t),
    host: '0.0.0.0',
    port: 0,
    format: { flags: ClusterFlag.LOCKING },
    vdis: [{ name: 'vdi', size: 1 << 22 }],
  })
  const { port } = await lamb.open()
  const clients: Cluster[] = []
  t.after(async () => {
    for (const client of clients) client.close()
    await lamb.close()
  })
  const open = async (host: string): Promise<Cluster> => {
    const cluster = new Cluster({ world: realWorld, addresses: [{ host, port }], log: silentLogger(), timing: FAST })
    clients.push(cluster)
    await cluster.open()
    return cluster
  }
  return { lamb, open, owner: `127.0.0.1:${port}` }
}

for (const host of ['localhost', '127.0.0.1', '127.0.0.2']) {
  test(`a lock taken by way of ${host} is given back when the volume is closed`, LIMIT, async (t) => {
    const { open, owner } = await locking(t)
    const cluster = await open(host)
    const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
    assert.deepEqual(cluster.locks.all, [{ vid: volume.vid, owner }])
    await volume.close()
    await (await openVolume(await open(host), SPEC, { log: silentLogger() })).close()
  })

  test(`a successor that reaches the sheep as ${host} has the lock of its predecessor`, LIMIT, async (t) => {
    const { open } = await locking(t)
    const dead = await open(host)
    await openVolume(dead, SPEC, { log: silentLogger() })
    const ownLocks = dead.locks.all
    dead.close()
    const next = await open(host)
    await assert.rejects(openVolume(next, SPEC, { log: silentLogger() }), { code: 'locked' })
    const volume = await openVolume(next, SPEC, { log: silentLogger(), ownLocks })
    assert.deepEqual(next.locks.all, ownLocks)
    await volume.close()
    await (await openVolume(next, SPEC, { log: silentLogger() })).close()
  })
}

test('a volume that was closed before it came to its next inode leaves no lock', LIMIT, async (t) => {
  const { lamb, open } = await locking(t)
  const volume = await openVolume(await open('127.0.0.1'), SPEC, { log: silentLogger() })
  const other = await open('127.0.0.1')
  await volume.write(0, Buffer.from('before'))
  await snapshotVdi(other, SPEC.name, 'tag')
  lamb.faults.addRule({ opcode: Opcode.READ_OBJ, kind: 'inode', action: { result: Result.EIO } })
  await assert.rejects(volume.write(0, Buffer.from('after')), { code: 'io' })
  await assert.rejects(volume.close(), { code: 'io' })
  lamb.faults.clearRules()
  await (await openVolume(other, SPEC, { log: silentLogger() })).close()
})

test('a lock whose answer was lost is taken for our own where the sheep is known by a name', LIMIT, async (t) => {
  const { lamb, open } = await locking(t)
  const cluster = await open('localhost')
  lamb.faults.addRule({ opcode: Opcode.LOCK_VDI, action: 'drop-after', count: 1 })
  await (await openVolume(cluster, SPEC, { log: silentLogger() })).close()
  await (await openVolume(cluster, SPEC, { log: silentLogger() })).close()
})

/** A client of the cluster with one volume attached, and what else it takes to see who has the lock. */
async function held(t: TestContext) {
  const stage = await clusterOf(t, { gateways: 2 })
  const cluster = await stage.open(0)
  const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
  await volume.write(0, Buffer.from('before'))
  return { ...stage, cluster, volume }
}

/** A cluster with locks of some gateways, that can be restarted as a whole: its locks are gone then. */
async function clusterOf(t: TestContext, { gateways }: { gateways: number }) {
  const store = await scratchDirectory(t)
  const format = { flags: ClusterFlag.LOCKING }
  const vdis = ['vdi', 'b', 'c', 'd'].map((name) => ({ name, size: 1 << 22 }))
  const port = randomInt(12_000, 30_000)
  let lamb = new Lamb({ store, port, gateways, format, vdis })
  await lamb.open()
  const clients: Cluster[] = []
  t.after(async () => {
    for (const client of clients) client.close()
    await lamb.close()
  })
  return {
    owner: (gateway: number): string => `127.0.0.1:${port + gateway}`,
    open: async (gateway: number): Promise<Cluster> => {
      const addresses = [{ host: '127.0.0.1', port: port + gateway }]
      const cluster = new Cluster({ world: realWorld, addresses, log: silentLogger(), timing: FAST })
      clients.push(cluster)
      await cluster.open()
      return cluster
    },
    stop: () => lamb.close(),
    start: async (...rules: FaultRule[]) => {
      lamb = new Lamb({ store, port, gateways })
      for (const rule of rules) lamb.faults.addRule(rule)
      await lamb.open()
      return lamb
    },
  }
}

/** A client that breaks the lock and takes it for itself. */
async function rivalOf({ open }: { open: (gateway: number) => Promise<Cluster> }) {
  return openVolume(await open(1), SPEC, { log: silentLogger(), breakLock: true })
}

test(
  'a lock that a restart of the whole cluster has lost is taken again, even when nobody writes',
  LIMIT,
  async (t) => {
    const { cluster, volume, open, stop, start } = await held(t)
    await stop()
    await start()
    await until(async () => (await cluster.lockStates()).has(volume.vid))
    await assert.rejects(openVolume(await open(1), SPEC, { log: silentLogger() }), { code: 'locked' })
    await volume.write(0, Buffer.from('behind'))
    await volume.close()
    await (await openVolume(await open(1), SPEC, { log: silentLogger() })).close()
  },
)

test('who finds the lock in other hands after a restart of the cluster writes nothing more', LIMIT, async (t) => {
  const { cluster, volume, open, stop, start, owner } = await held(t)
  await stop()
  const lost = { code: 'stale', message: /a client of sheep .* has it: nothing is written any more; attach it again/ }
  const waiting = assert.rejects(volume.write(0, Buffer.from('late!!')), lost)
  const { faults } = await start({ opcode: Opcode.GET_VDI_COPIES, action: { result: Result.AGAIN } })
  const other = await open(1)
  assert.equal((await other.changeOnce(lockVdi(SPEC)))?.result, Result.SUCCESS)
  const { retries } = cluster
  await until(() => cluster.retries > retries + 1)
  assert.equal(volume.isStale, false)
  faults.clearRules()
  await waiting
  const into = Buffer.alloc(6)
  const reader = await openVolume(other, SPEC, { log: silentLogger(), readOnly: true })
  await reader.read(0, into)
  assert.equal(into.toString(), 'before')
  await assert.rejects(volume.write(0, Buffer.from('later!')), lost)
  await volume.close()
  assert.equal((await cluster.lockStates()).get(reader.vid)?.owner, owner(1), 'the lock of the other one is his')
})

test('after an outage a lock is left for a moment to whoever had it', LIMIT, async (t) => {
  const { volume, open, stop, start } = await held(t)
  const other = await open(1)
  await stop()
  const waiting = other.read(getVdiInfo(SPEC)) // it waits for the cluster, as an attach does
  const { faults } = await start({ opcode: Opcode.GET_VDI_COPIES, action: { result: Result.AGAIN }, count: 1 })
  await waiting
  await assert.rejects(openVolume(other, SPEC, { log: silentLogger() }), { code: 'locked' })
  faults.clearRules()
  await volume.write(0, Buffer.from('still ours'))
})

test('a lock that is broken by hand is taken again; one that is taken over ends the writing', LIMIT, async (t) => {
  const stage = await held(t)
  const { cluster, volume, open, owner } = stage
  const byHand = await open(1)
  await byHand.change(releaseVdi(volume.vid))
  await until(async () => (await cluster.lockStates()).get(volume.vid)?.owner === owner(0))
  await volume.write(0, Buffer.from('goes on'))
  const rival = await rivalOf(stage)
  await until(() => volume.isStale)
  await assert.rejects(volume.write(0, Buffer.from('late')), { code: 'stale' })
  await rival.write(0, Buffer.from('theirs'))
  await rival.close()
})

test('a deleted VDI, and one that became a snapshot, are no lost locks', LIMIT, async (t) => {
  const { cluster, volume, open } = await held(t)
  const other = await open(1)
  await snapshotVdi(other, SPEC.name, 'tag')
  await other.change(releaseVdi(volume.vid))
  await cluster.lockWatch.look()
  assert.equal(volume.isStale, false)
  assert.equal((await cluster.lockStates()).size, 0, 'the lock of the next inode is for the recovery to take')
  await volume.write(0, Buffer.from('after'))
  assert.equal((await cluster.lockStates()).size, 1)
  await volume.close()
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
  const refusal = { kind: 'refuse', result: Result.VDI_LOCKED } as const
  const fates: Fate[] = [{ kind: 'cut', execute: 'never' }, refusal]
  second.script = ({ opcode }) => {
    if (opcode === Opcode.LOCK_VDI) return fates.shift() ?? refusal
    if (opcode !== Opcode.GET_VDI_COPIES) return { kind: 'answer' }
    return {
      kind: 'refuse',
      result: Result.SUCCESS,
      payload: heldBefore || fates.length < 2 ? state : new Uint8Array(0),
    }
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

test('volumes that are attached together ask for the locks together', LIMIT, async (t) => {
  const { open } = await clusterOf(t, { gateways: 1 })
  const cluster = await open(0)
  const asked = countQuestions(cluster)
  const names = ['vdi', 'b', 'c', 'd']
  const all = names.map((name) => openVolume(cluster, { name: Buffer.from(name) }, { log: silentLogger() }))
  const volumes = await Promise.all(all)
  assert.ok(asked() <= 4, `${asked()} questions for ${names.length} volumes`)
  await Promise.all(volumes.map((volume) => volume.close()))
})

/** How often the locks have been asked for since. */
function countQuestions(cluster: Cluster): () => number {
  let questions = 0
  const read = cluster.read.bind(cluster)
  cluster.read = (message, options) => {
    if (Req.opcode.get(message.header) === Opcode.GET_VDI_COPIES) questions++
    return read(message, options)
  }
  return () => questions
}
