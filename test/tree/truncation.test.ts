import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { isSheepfsError, SheepfsError, type ErrorCode } from '../../src/errors.ts'
import { deferred } from '../../src/fuse/kernel/deferred.ts'
import { silentLogger } from '../../src/log.ts'
import { ClusterTree } from '../../src/tree/cluster-tree.ts'
import type { Handle, TreeChange } from '../../src/tree/node.ts'
import { parseVolumeName } from '../../src/tree/volume-name.ts'
import { FakeCluster, FakeVolume } from './fake-cluster.ts'

/** An attached volume full of ones, and what is told of it. */
async function attached() {
  const cluster = new FakeCluster()
  const fake = new FakeVolume()
  fake.bytes.fill(1)
  cluster.volumes.set('web', fake)
  const tree = new ClusterTree({
    clock: realWorld.clock,
    facts: cluster,
    openVolume: cluster.openVolume,
    owner: { uid: 7, gid: 8 },
    cache: { pageCache: false },
    log: silentLogger(),
  })
  const { file: volume } = await tree.attachments.attach(parseVolumeName('web'))
  const changes: TreeChange[] = []
  tree.watch((change) => {
    if (change.kind !== 'times') changes.push(change)
  })
  return { fake, volume, changes }
}

const NOBODY = (): readonly Handle[] => []

const fails =
  (code: ErrorCode, message = /./) =>
  (error: unknown): boolean =>
    isSheepfsError(error, code) && message.test(error.message)

test('truncating to nothing makes a volume read as zeros, smaller is refused, larger grows', async () => {
  const { fake, volume, changes } = await attached()
  assert.ok(fake.bytes.includes(1))
  await volume.resize(0, NOBODY)
  assert.deepEqual(fake.bytes, new Uint8Array(1000))
  assert.equal((await volume.attributes()).size, 1000)
  assert.deepEqual(changes, [{ kind: 'truncated', node: volume.id }])
  await volume.resize(1001, NOBODY)
  assert.equal((await volume.attributes()).size, 1001)
})

test('truncating reaches what somebody else has made of the size', async () => {
  const { fake, volume } = await attached()
  fake.sizeElsewhere = 2000
  await volume.resize(0, NOBODY)
  assert.deepEqual(fake.bytes, new Uint8Array(2000))
})

test('a volume that others have open is not truncated to nothing, one that they close at that moment is', async () => {
  const { fake, volume } = await attached()
  const [own, other] = [await volume.open({ write: true }), await volume.open({ write: false })]
  await assert.rejects(
    volume.resize(0, () => [own]),
    fails('busy', /others have it open, 1 times/),
  )
  await assert.rejects(volume.resize(0, NOBODY), fails('busy', /others have it open, 2 times/))
  assert.ok(fake.bytes.includes(1))
  await volume.resize(1000, NOBODY)
  const truncated = volume.resize(0, () => [own])
  await other.close()
  await truncated
  assert.deepEqual(fake.bytes, new Uint8Array(1000))
})

test('a handle that was closed does not count as the own one of who truncates', async () => {
  const { volume } = await attached()
  const own = await volume.open({ write: true })
  await volume.open({ write: true })
  await own.close()
  await assert.rejects(
    volume.resize(0, () => [own]),
    fails('busy'),
  )
})

test('a truncation waits for what came before, and what comes after waits for it', async () => {
  const { fake, volume } = await attached()
  const handle = await volume.open({ write: true })
  const [reading, zeroing] = [deferred<undefined>(), deferred<undefined>()]
  fake.reading = reading.promise
  fake.zeroing = zeroing.promise
  const order: string[] = []
  const note = (what: string) => (): void => void order.push(what)
  const read = handle.read(0, new Uint8Array(1)).then(note('read'))
  const truncated = volume.resize(0, () => [handle]).then(note('truncated'))
  await new Promise((resolve) => setTimeout(resolve, 30))
  const written = handle.write(3, Uint8Array.of(7)).then(note('written'))
  reading.resolve(undefined)
  await read
  zeroing.resolve(undefined)
  await Promise.all([truncated, written])
  assert.deepEqual(order, ['read', 'truncated', 'written'])
  assert.equal(fake.bytes[3], 7)
})

test('a truncation that fails holds up nothing', async (t) => {
  const { fake, volume } = await attached()
  const handle = await volume.open({ write: true })
  t.mock.method(fake, 'zero', () => Promise.reject(new SheepfsError('io', 'half of it')))
  await assert.rejects(
    volume.resize(0, () => [handle]),
    fails('io'),
  )
  assert.equal(await handle.write(0, Uint8Array.of(1)), 1)
})

test('a kernel believes 0 from a truncation on, until it is known to know the size', async () => {
  const { volume, changes } = await attached()
  await volume.resize(0, NOBODY)
  assert.equal(volume.knownSize, 0)
  volume.tellSize()
  assert.equal(volume.knownSize, 0)
  volume.noteSize(true)
  assert.equal(volume.knownSize, 1000)
  assert.deepEqual(changes.at(-1), { kind: 'attributes', node: volume.id, size: 1000 })
})
