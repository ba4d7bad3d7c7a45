import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { isSheepfsError, SheepfsError, type ErrorCode } from '../../src/errors.ts'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Waiter } from '../../src/sheep/waiter.ts'
import { ClusterTree, type ClusterTreeOptions } from '../../src/tree/cluster-tree.ts'
import { NodeIds } from '../../src/tree/node-ids.ts'
import type { File, Handle, Node, TreeChange } from '../../src/tree/node.ts'
import { Result } from '../../src/wire/sd-proto.ts'
import { parseVolumeName } from '../../src/tree/volume-name.ts'
import { FakeCluster, FakeVolume } from './fake-cluster.ts'

function makeTree(options: Partial<ClusterTreeOptions> = {}) {
  const cluster = new FakeCluster()
  cluster.volumes.set('web', new FakeVolume())
  cluster.volumes.set('web@first', new FakeVolume({ isReadOnly: true }))
  const tree = new ClusterTree({
    clock: realWorld.clock,
    facts: cluster,
    openVolume: cluster.openVolume,
    owner: { uid: 7, gid: 8 },
    cache: { pageCache: false },
    log: silentLogger(),
    ...options,
  })
  const changes: TreeChange[] = []
  tree.watch((change) => {
    if (change.kind !== 'times') changes.push(change)
  })
  return { cluster, tree, changes }
}

function find(tree: ClusterTree, path: string): Node | undefined {
  let node: Node | undefined = tree.root
  for (const name of path.split('/')) node = node?.kind === 'directory' ? node.lookup(name) : undefined
  return node
}

function file(tree: ClusterTree, path: string): File {
  const node = find(tree, path)
  if (node?.kind !== 'file') assert.fail(`${path} is not a file`)
  return node
}

async function cat(tree: ClusterTree, path: string): Promise<string> {
  const handle = await file(tree, path).open({ write: false })
  const into = new Uint8Array(4096)
  const length = await handle.read(0, into)
  await handle.close()
  return Buffer.from(into.subarray(0, length)).toString()
}

async function echo(tree: ClusterTree, text: string | Uint8Array, path: string): Promise<void> {
  const handle = await file(tree, path).open({ write: true })
  const data = Buffer.from(text)
  try {
    assert.equal(await handle.write(0, data), data.length)
  } finally {
    await handle.close()
  }
}

const fails =
  (code: ErrorCode, message = /./) =>
  (error: unknown): boolean =>
    isSheepfsError(error, code) && message.test(error.message)

test('what switches a mount belongs to its own owner, whoever the files belong to', async () => {
  const { tree } = makeTree({ controlOwner: { uid: 0, gid: 0 } })
  await echo(tree, 'web', 'vdi/mount')
  const uidOf = async (path: string) => (await find(tree, path)?.attributes())?.uid
  for (const path of ['vdi/mount', 'vdi/unmount', 'config/page_cache', 'config/object_cache', 'config/sheep_info'])
    assert.equal(await uidOf(path), 0, path)
  for (const path of ['config', 'vdi', 'vdi/list', 'cluster/info', 'volume', 'volume/web'])
    assert.equal(await uidOf(path), 7, path)
  const alone = await file(makeTree().tree, 'vdi/mount').attributes()
  assert.equal(alone.uid, 7)
})

/** A gate that stays shut until it is opened. */
function shutGate(): { gate: Promise<void>; open: () => void } {
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  return { gate, open }
}

const NOBODY = (): readonly Handle[] => []

test('the tree has the files of the C sheepfs, with one id each', () => {
  const { tree } = makeTree()
  const names = (path: string): string[] => {
    const node = path === '' ? tree.root : find(tree, path)
    return node?.kind === 'directory' ? node.entries().map((entry) => entry.name) : []
  }
  assert.deepEqual(names('').sort(), ['cluster', 'config', 'node', 'vdi', 'volume'])
  assert.deepEqual(names('cluster'), ['info'])
  assert.deepEqual(names('node').sort(), ['info', 'list'])
  assert.deepEqual(names('vdi').sort(), ['list', 'mount', 'unmount'])
  assert.deepEqual(names('config').sort(), ['object_cache', 'page_cache', 'sheep_info'])
  assert.equal(tree.root.id, 1)
  for (const path of ['cluster', 'cluster/info', 'vdi/mount', 'volume', 'config/sheep_info']) {
    const node = find(tree, path)
    assert.ok(node && tree.node(node.id) === node, path)
  }
  assert.equal(tree.node(999), undefined)
})

test('every file belongs to the owner of the mount', async () => {
  const { tree } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  for (const path of ['vdi', 'vdi/list', 'vdi/mount', 'volume', 'volume/web']) {
    const attributes = await find(tree, path)?.attributes()
    assert.deepEqual([attributes?.uid, attributes?.gid], [7, 8], path)
  }
})

test('the size of a text file is its length', async () => {
  const { tree } = makeTree()
  for (const path of [
    'cluster/info',
    'node/list',
    'node/info',
    'vdi/list',
    'vdi/mount',
    'config/page_cache',
    'config/sheep_info',
  ]) {
    const { size } = await file(tree, path).attributes()
    assert.equal(size, (await cat(tree, path)).length, path)
  }
  assert.equal(await cat(tree, 'cluster/info'), 'Cluster status: Waiting for cluster to be formatted\n\n')
  assert.match(await cat(tree, 'node/info'), /^Total\t0\.0 MB\t.*\t 60%$/m)
})

test('a text is made once for a stat and the open that follows, and anew for the next open', async () => {
  const { tree, cluster } = makeTree()
  await file(tree, 'node/list').attributes()
  const before = cluster.questions
  await cat(tree, 'node/list')
  await file(tree, 'node/list').attributes()
  assert.equal(cluster.questions, before)
  cluster.nodesNow = []
  assert.equal((await cat(tree, 'node/list')).split('\n').length, 2)
})

test('an open handle keeps its text while the cluster changes', async () => {
  const { tree, cluster } = makeTree()
  const handle = await file(tree, 'node/list').open({ write: false })
  const head = new Uint8Array(10)
  assert.equal(await handle.read(0, head), 10)
  cluster.nodesNow = []
  const rest = new Uint8Array(200)
  const length = await handle.read(10, rest)
  assert.match(Buffer.from(rest.subarray(0, length)).toString(), /127\.0\.0\.1:7000/)
  assert.equal(await handle.read(5000, rest), 0)
})

test('opens that wait for a text that is being made get one that is younger', async () => {
  const { tree, cluster } = makeTree()
  const { gate, open } = shutGate()
  cluster.gate = gate
  const first = cat(tree, 'node/list')
  const others = [cat(tree, 'node/list'), cat(tree, 'node/list')]
  open()
  await first
  cluster.nodesNow = []
  assert.deepEqual(new Set(await Promise.all(others)).size, 1)
  assert.equal(cluster.questions, 2)
})

test('the VDIs of a cluster that waits for nodes are not shown as none', async () => {
  const { tree, cluster } = makeTree()
  cluster.state = Result.WAIT_FOR_JOIN
  await assert.rejects(cat(tree, 'vdi/list'), fails('unreachable', /Waiting for other nodes to join/))
  assert.match(await cat(tree, 'cluster/info'), /Waiting for other nodes to join/)
})

test('text files cannot be written', async () => {
  const { tree } = makeTree()
  await assert.rejects(file(tree, 'vdi/list').open({ write: true }), fails('not-permitted'))
})

test('writing a name to vdi/mount attaches the volume, to vdi/unmount detaches it', async () => {
  const { tree, cluster, changes } = makeTree()
  await echo(tree, 'web\n', 'vdi/mount')
  const volume = find(tree, 'volume/web')
  assert.ok(volume)
  assert.equal(tree.node(volume.id), volume)
  await echo(tree, 'web', 'vdi/unmount')
  assert.equal(find(tree, 'volume/web'), undefined)
  assert.equal(tree.node(volume.id), undefined)
  assert.equal(cluster.volumes.get('web')?.isClosed, true)
  assert.deepEqual(changes, [
    { kind: 'entry-added', parent: 6, name: 'web', node: volume.id },
    { kind: 'entry-removed', parent: 6, name: 'web', node: volume.id },
  ])
  assert.equal(await cat(tree, 'vdi/mount'), '')
})

test('attaching a volume twice is the same as once', async () => {
  const { tree, cluster } = makeTree()
  await Promise.all([echo(tree, 'web\n', 'vdi/mount'), echo(tree, 'web', 'vdi/mount')])
  await echo(tree, 'web', 'vdi/mount')
  assert.deepEqual(cluster.opened, ['web'])
  assert.equal(tree.attachments.list().length, 1)
})

test('a failed write to vdi/mount tells why by its error', async () => {
  const { tree, cluster } = makeTree()
  await assert.rejects(echo(tree, 'nosuch\n', 'vdi/mount'), fails('not-found'))
  await assert.rejects(echo(tree, 'x; touch /tmp/pwned #\n', 'vdi/mount'), fails('not-found'))
  await assert.rejects(echo(tree, '../cluster/info', 'vdi/mount'), fails('not-found'))
  await assert.rejects(echo(tree, '\n', 'vdi/mount'), fails('invalid', /empty/))
  await assert.rejects(echo(tree, 'web\nweb\n', 'vdi/mount'), fails('invalid', /one line per write/))
  await assert.rejects(echo(tree, 'x'.repeat(300), 'vdi/mount'), fails('name-too-long'))
  await assert.rejects(echo(tree, 'web', 'vdi/unmount'), fails('not-found', /not attached/))
  assert.deepEqual(tree.attachments.list(), [])
  assert.deepEqual(cluster.opened, ['nosuch', 'x; touch /tmp/pwned #', '../cluster/info'])
})

test('a name that fails once can be attached later', async () => {
  const { tree, cluster } = makeTree()
  await assert.rejects(echo(tree, 'late', 'vdi/mount'), fails('not-found'))
  cluster.volumes.set('late', new FakeVolume())
  await echo(tree, 'late', 'vdi/mount')
  assert.ok(find(tree, 'volume/late'))
})

test('a number after the "@" attaches the snapshot with that tag, else with that id', async () => {
  const { tree, cluster } = makeTree()
  cluster.volumes.set('web#2', new FakeVolume({ isReadOnly: true }))
  await echo(tree, 'web@2', 'vdi/mount')
  assert.deepEqual(cluster.opened, ['web@2', 'web#2'])
  assert.ok(find(tree, 'volume/web@2'))
})

test('an open volume is not detached, and is again once it was closed', async () => {
  const { tree } = makeTree()
  const attachments = tree.attachments
  await echo(tree, 'web', 'vdi/mount')
  const handle = await file(tree, 'volume/web').open({ write: true })
  await assert.rejects(echo(tree, 'web', 'vdi/unmount'), fails('busy', /open 1 time$/))
  assert.equal(attachments.list().length, 1)
  const detached = echo(tree, 'web', 'vdi/unmount')
  await handle.close()
  await detached
  assert.equal(attachments.list().length, 0)
})

test('a volume detached by force stays a node until its last close, and fails with stale', async () => {
  const { tree } = makeTree()
  const { file: volume } = await tree.attachments.attach(parseVolumeName('web'))
  const handle = await volume.open({ write: true })
  await tree.attachments.detach(parseVolumeName('web'), { force: true })
  assert.equal(find(tree, 'volume/web'), undefined)
  assert.equal(tree.node(volume.id), volume)
  await assert.rejects(volume.attributes(), fails('stale'))
  await assert.rejects(volume.open({ write: false }), fails('stale'))
  await assert.rejects(handle.read(0, new Uint8Array(1)), fails('stale'))
  await assert.rejects(handle.write(0, new Uint8Array(1)), fails('stale'))
  await assert.rejects(handle.sync(), fails('stale'))
  await handle.close()
  await handle.close()
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(tree.node(volume.id), undefined)
})

test('a volume detached by force is closed when it has answered what it was asked', async () => {
  const { tree, cluster } = makeTree()
  const name = parseVolumeName('web')
  const handle = await (await tree.attachments.attach(name)).file.open({ write: false })
  const { gate, open } = shutGate()
  const volume = cluster.volumes.get('web')
  assert.ok(volume)
  volume.reading = gate
  const read = handle.read(0, new Uint8Array(10))
  const detached = tree.attachments.detach(name, { force: true })
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(volume.isClosed, false)
  open()
  assert.equal(await read, 10)
  await detached
  assert.equal(volume.isClosed, true)
})

test('growth by somebody else is seen when the volume is opened, and told', async () => {
  const { tree, cluster, changes } = makeTree()
  const { file: volume } = await tree.attachments.attach(parseVolumeName('web'))
  const fake = cluster.volumes.get('web')
  assert.ok(fake)
  fake.sizeElsewhere = 3000
  await volume.open({ write: false })
  assert.equal((await volume.attributes()).size, 3000)
  assert.deepEqual(changes.at(-1), { kind: 'attributes', node: volume.id, size: 3000 })
})

test('what others may have written is told when the volume is opened, and not kept from before', async () => {
  const { tree, cluster, changes } = makeTree()
  const { file: volume } = await tree.attachments.attach(parseVolumeName('web'))
  assert.equal((await volume.open({ write: false })).dropsCache, false)
  const fake = cluster.volumes.get('web')
  assert.ok(fake)
  fake.hasOtherWriters = true
  assert.equal((await volume.open({ write: false })).dropsCache, true)
  assert.deepEqual(changes.slice(1), [{ kind: 'content', node: volume.id }])
})

test('growth that the kernel asked for is not told to it', async () => {
  const { tree, changes } = makeTree()
  const { file: volume } = await tree.attachments.attach(parseVolumeName('web'))
  await volume.resize(2000, NOBODY)
  assert.equal((await volume.attributes()).size, 2000)
  assert.deepEqual(
    changes.map(({ kind }) => kind),
    ['entry-added'],
  )
})

test('a volume that is being closed is attached again only after that, under a new id', async () => {
  const { tree, cluster } = makeTree()
  const name = parseVolumeName('web')
  const { file: first } = await tree.attachments.attach(name)
  const { gate, open } = shutGate()
  const volume = cluster.volumes.get('web')
  assert.ok(volume)
  volume.closing = gate
  const detached = tree.attachments.detach(name)
  await new Promise((resolve) => setImmediate(resolve))
  const again = tree.attachments.attach(name)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(cluster.opened, ['web'])
  open()
  await detached
  assert.notEqual((await again).file.id, first.id)
  assert.deepEqual(cluster.opened, ['web', 'web'])
})

test('a detach that comes while the volume is being attached waits for it', async () => {
  const { tree, cluster } = makeTree()
  const { gate, open } = shutGate()
  cluster.gate = gate
  const attached = echo(tree, 'web', 'vdi/mount')
  const detached = echo(tree, 'web', 'vdi/unmount')
  open()
  await Promise.all([attached, detached])
  assert.deepEqual(tree.attachments.list(), [])
})

test('the end of the mount closes what is attached and what is being attached', async () => {
  const { tree, cluster } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const { gate, open } = shutGate()
  cluster.gate = gate
  const late = echo(tree, 'web@first', 'vdi/mount')
  await new Promise((resolve) => setImmediate(resolve))
  const closed = tree.attachments.close()
  open()
  await assert.rejects(late, fails('closed'))
  await closed
  assert.deepEqual(
    [...cluster.volumes.values()].map((volume) => volume.isClosed),
    [true, true],
  )
})

test('a volume that fails to close does not keep the others from being closed', async () => {
  const { tree, cluster } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  await echo(tree, 'web@first', 'vdi/mount')
  const { gate, open } = shutGate()
  const [web, snapshot] = cluster.volumes.values()
  assert.ok(web && snapshot)
  web.closing = Promise.reject(new SheepfsError('io', 'the last write failed'))
  snapshot.closing = gate
  const closed = assert.rejects(tree.close(), fails('io'))
  await new Promise((resolve) => setImmediate(resolve))
  open()
  await closed
  assert.equal(snapshot.isClosed, true)
})

test('growth by somebody else is seen after a while when nobody opens the volume', async (t) => {
  const { tree, cluster, changes } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  tree.start()
  const web = cluster.volumes.get('web')
  assert.ok(web)
  web.sizeElsewhere = 5000
  t.mock.timers.tick(30_000)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(changes.at(-1)?.kind, 'attributes')
  await tree.close()
})

test('ids go on where a predecessor had come to, and what it had attached keeps its own', async () => {
  const { tree } = makeTree({ ids: new NodeIds(2000) })
  const name = parseVolumeName('web')
  assert.equal((await tree.attachments.attach(name, { nodeId: 2005 })).file.id, 2005)
  await echo(tree, 'web@first', 'vdi/mount')
  assert.equal(find(tree, 'volume/web@first')?.id, 2006)
  assert.equal(tree.ids.next, 2007)
})

test('a volume file reads, writes and shows the volume', async () => {
  const { tree, cluster } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const attributes = await file(tree, 'volume/web').attributes()
  assert.deepEqual(
    { size: attributes.size, allocated: attributes.allocated, mode: attributes.mode, blockSize: attributes.blockSize },
    { size: 1000, allocated: 512, mode: 0o600, blockSize: 1 << 20 },
  )
  const handle = await file(tree, 'volume/web').open({ write: true })
  assert.equal(await handle.write(10, Buffer.from('hello')), 5)
  const into = new Uint8Array(5)
  assert.equal(await handle.read(10, into), 5)
  assert.equal(Buffer.from(into).toString(), 'hello')
  await handle.zero(10, 5, { release: true })
  await handle.sync()
  assert.equal(cluster.volumes.get('web')?.bytes[10], 0)
  assert.equal(await handle.seek(3, 'data'), 3)
  await handle.close()
  await assert.rejects(handle.read(0, into), fails('closed'))
})

test('a snapshot is read-only', async () => {
  const { tree } = makeTree({ volumeMode: 0o640 })
  await echo(tree, 'web@first', 'vdi/mount')
  const snapshot = file(tree, 'volume/web@first')
  assert.equal((await snapshot.attributes()).mode, 0o440)
  await assert.rejects(snapshot.open({ write: true }), fails('read-only'))
  await assert.rejects(snapshot.resize(5000, NOBODY), fails('read-only'))
  await assert.rejects(snapshot.resize(0, NOBODY), fails('read-only'))
  await snapshot.open({ write: false })
})

test('truncating to the present size changes nothing, shrinking is refused, growing grows', async () => {
  const { tree } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const volume = file(tree, 'volume/web')
  await volume.resize(1000, NOBODY)
  await assert.rejects(volume.resize(999, NOBODY), fails('not-permitted'))
  assert.equal((await volume.attributes()).size, 1000)
  await volume.resize(1001, NOBODY)
  assert.equal((await volume.attributes()).size, 1001)
})

test('what changes a volume moves both of its times, what is refused or reads moves none', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { tree } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const volume = file(tree, 'volume/web')
  const times = async (): Promise<readonly [modifiedMs: number, changedMs: number]> => {
    const { modifiedMs, changedMs } = await volume.attributes()
    return [Math.floor(modifiedMs), Math.floor(changedMs)]
  }
  assert.deepEqual(await times(), [1_000_000, 1_000_000])
  t.mock.timers.tick(5)
  const handle = await volume.open({ write: true })
  await handle.read(0, new Uint8Array(10))
  await handle.seek(0, 'data')
  await handle.sync()
  await assert.rejects(volume.resize(999, NOBODY), fails('not-permitted'))
  assert.deepEqual(await times(), [1_000_000, 1_000_000])
  const changes = [
    () => handle.write(0, Uint8Array.of(1)),
    () => handle.zero(0, 10, { release: true }),
    () => volume.resize(1001, NOBODY),
    () => volume.resize(0, () => [handle]),
  ]
  for (const change of changes) {
    t.mock.timers.tick(5)
    await change()
    assert.deepEqual(await times(), [Date.now(), Date.now()])
  }
})

test('that a volume is about to change is told before it does, further changes once in a while, and their end', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 })
  const { tree } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const web = tree.attachments.find('web') ?? assert.fail()
  const told: (number | undefined)[] = []
  tree.watch((change) => {
    if (change.kind === 'times') told.push(...change.nodes.map(({ untoldMs }) => untoldMs && Math.floor(untoldMs)))
  })
  const handle = await web.open({ write: true })
  const writing = handle.write(0, Uint8Array.of(1))
  assert.deepEqual([told.splice(0), web.times.isMoving], [[1_000_000], true])
  await writing
  for (let count = 0; count < 5; count++) {
    t.mock.timers.tick(100)
    await handle.write(0, Uint8Array.of(1))
  }
  assert.deepEqual(told, [])
  t.mock.timers.tick(250)
  assert.deepEqual([told.splice(0), web.times.isMoving], [[1_000_500], true])
  t.mock.timers.tick(750)
  assert.deepEqual([told.splice(0), web.times.isMoving], [[undefined], false])
  t.mock.timers.tick(7500)
  assert.deepEqual(told, [])
})

test('a volume whose change is not answered yet has not come to rest', async (t) => {
  t.mock.timers.enable({ apis: ['Date', 'setTimeout'], now: 1_000_000 })
  const { tree, cluster } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const { gate, open } = shutGate()
  t.mock.method(cluster.volumes.get('web') ?? assert.fail(), 'write', () => gate.then(() => 1))
  const web = tree.attachments.find('web') ?? assert.fail()
  const writing = (await web.open({ write: true })).write(0, Uint8Array.of(1))
  for (let count = 0; count < 10; count++) t.mock.timers.tick(750)
  assert.equal(web.times.isMoving, true)
  open()
  await writing
  for (let count = 0; count < 2; count++) t.mock.timers.tick(750)
  assert.equal(web.times.isMoving, false)
})

test('a successor goes on with the times of a volume at rest, and moves those of one that was being changed', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { tree, cluster } = makeTree()
  cluster.volumes.set('db', new FakeVolume())
  const times = { modifiedMs: 500, changedMs: 600, isMoving: false }
  const { file: web } = await tree.attachments.attach(parseVolumeName('web'), { nodeId: 2000, times })
  assert.deepEqual([web.times.modifiedMs, web.times.changedMs], [500, 600])
  const late = { modifiedMs: 2_000_000, changedMs: 2_000_000, isMoving: true } // the clock has been set back
  const { file: db } = await tree.attachments.attach(parseVolumeName('db'), { nodeId: 2001, times: late })
  assert.ok(db.times.modifiedMs > 2_000_000)
})

test('a VDI that others write to has other times after each close, and once a change is noticed', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { tree, cluster } = makeTree()
  const volume = new FakeVolume({ isReadOnly: true })
  volume.hasOtherWriters = true
  cluster.volumes.set('db', volume)
  const { file: db } = await tree.attachments.attach(parseVolumeName('db'))
  const handle = await db.open({ write: false })
  assert.equal(db.times.changedMs, 1_000_000, 'who reads it compares the times before and after')
  t.mock.timers.tick(5)
  await handle.close()
  assert.equal(db.times.changedMs, 1_000_005)
  t.mock.timers.tick(5)
  volume.sizeElsewhere = 2000
  await db.open({ write: false })
  assert.equal(db.times.changedMs, 1_000_010)
})

test('a write that fails may have been done in part, so it moves the times', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { tree, cluster } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const handle = await file(tree, 'volume/web').open({ write: true })
  t.mock.method(cluster.volumes.get('web') ?? assert.fail(), 'write', () =>
    Promise.reject(new SheepfsError('io', 'half of it')),
  )
  t.mock.timers.tick(5)
  await assert.rejects(handle.write(0, new Uint8Array(10)), fails('io'))
  assert.equal(Math.floor((await file(tree, 'volume/web').attributes()).modifiedMs), 1_000_005)
})

test('a snapshot has the time it was taken at, a VDI that is attached again another than before', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { tree, cluster } = makeTree()
  const snapshot = cluster.volumes.get('web@first') ?? assert.fail()
  snapshot.fixedMs = 4321
  for (const expected of [1_000_000, 1_000_500]) {
    await echo(tree, 'web', 'vdi/mount')
    await echo(tree, 'web@first', 'vdi/mount')
    assert.equal((await file(tree, 'volume/web').attributes()).modifiedMs, expected)
    assert.equal((await file(tree, 'volume/web@first').attributes()).changedMs, 4321)
    await echo(tree, 'web', 'vdi/unmount')
    await echo(tree, 'web@first', 'vdi/unmount')
    t.mock.timers.tick(500)
  }
})

test('the page cache is that of the switch when a file was opened', async () => {
  const { tree } = makeTree()
  await echo(tree, 'web', 'vdi/mount')
  const handles: Handle[] = [await file(tree, 'volume/web').open({ write: false })]
  await echo(tree, '1\n', 'config/page_cache')
  assert.equal(await cat(tree, 'config/page_cache'), '1\n')
  handles.push(await file(tree, 'volume/web').open({ write: false }))
  assert.deepEqual(
    handles.map((handle) => handle.caching),
    ['direct', 'cached'],
  )
  const { direct, cached } = tree.attachments.find('web')?.handles ?? {}
  assert.deepEqual([direct?.count, cached?.count], [1, 1])
})

test('a switch takes integers, any but zero for on, and nothing else', async () => {
  const { tree, cluster } = makeTree()
  await echo(tree, '-5\n', 'config/object_cache')
  assert.equal(cluster.objectCache, true)
  assert.equal(await cat(tree, 'config/object_cache'), '1\n')
  await echo(tree, '0', 'config/object_cache')
  assert.equal(cluster.objectCache, false)
  for (const text of ['', 'on', '1x', '1.5', '0x1']) {
    await assert.rejects(echo(tree, text, 'config/page_cache'), fails('invalid', /is 0 or 1, not/))
  }
})

test('a switch of the page cache that the engine refuses changes nothing', async () => {
  const beforePageCache = (): void => {
    throw new SheepfsError('not-supported', 'engine fuse-native cannot switch the page cache while mounted')
  }
  const { tree } = makeTree({ cache: { pageCache: true, beforePageCache } })
  await assert.rejects(echo(tree, '0', 'config/page_cache'), fails('not-supported'))
  assert.equal(await cat(tree, 'config/page_cache'), '1\n')
  await echo(tree, '1', 'config/page_cache')
})

test('config/sheep_info shows the sheep in use and takes others that answer', async () => {
  const { tree } = makeTree()
  assert.equal(await cat(tree, 'config/sheep_info'), '127.0.0.1:7000\n')
  await echo(tree, '10.0.0.1:7000, [fe80::1]:7001\n', 'config/sheep_info')
  assert.equal(await cat(tree, 'config/sheep_info'), '10.0.0.1:7000,[fe80::1]:7001\n')
  await assert.rejects(echo(tree, '10.0.0.9:1', 'config/sheep_info'), fails('unreachable'))
  await assert.rejects(echo(tree, '10.0.0.9:x', 'config/sheep_info'), fails('invalid', /port/))
  assert.equal(await cat(tree, 'config/sheep_info'), '10.0.0.1:7000,[fe80::1]:7001\n')
})

test('control files are truncated without effect', async () => {
  const { tree } = makeTree()
  await file(tree, 'config/page_cache').resize(0, NOBODY)
  await file(tree, 'vdi/mount').resize(0, NOBODY)
  await assert.rejects(file(tree, 'vdi/mount').resize(10, NOBODY), fails('not-permitted'))
})

test('the space of the tree is the sum of the stores, asked for once in a while', async () => {
  const { tree, cluster } = makeTree()
  assert.deepEqual(await tree.space(), { total: 1000, free: 400 })
  const { questions } = cluster
  await tree.space()
  assert.equal(cluster.questions, questions)
})

test('a node that does not answer takes no space away, one that has gone does', async () => {
  let passedMs = 0
  const { tree, cluster } = makeTree({ clock: { ...realWorld.clock, now: () => passedMs } })
  const [node] = cluster.nodesNow
  assert.ok(node)
  cluster.nodesNow = [node, { ...node, port: 7001 }, { ...node, port: 7002 }]
  cluster.silent.add(7002)
  assert.deepEqual(await tree.space(), { total: 2000, free: 800 })
  cluster.silent.add(7001)
  cluster.silent.delete(7002)
  passedMs += 6000
  assert.deepEqual(await tree.space(), { total: 3000, free: 1200 })
  cluster.nodesNow = [node]
  passedMs += 6000
  assert.deepEqual(await tree.space(), { total: 1000, free: 400 })
})

test('the space of a cluster that does not answer is an error in bounded time', async (t) => {
  const { tree, cluster } = makeTree()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  cluster.gate = new Promise<void>(() => undefined)
  const first = tree.space()
  await new Promise((resolve) => setImmediate(resolve))
  t.mock.timers.tick(3000)
  await assert.rejects(first, fails('timeout'))
})

test('a listener that fails keeps no other from knowing', async () => {
  const { tree, changes } = makeTree()
  const stop = tree.watch(() => {
    throw new Error('no kernel')
  })
  tree.watch((change) => changes.push(change))
  await echo(tree, 'web', 'vdi/mount')
  assert.equal(changes.length, 2)
  stop()
})

test('while the cluster does not answer, a stat gives the last size and an open fails', async (t: TestContext) => {
  const { tree, cluster } = makeTree()
  const text = await cat(tree, 'node/list')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  cluster.gate = new Promise<void>(() => undefined)
  await new Promise((resolve) => setImmediate(resolve))
  const opened = file(tree, 'node/list').open({ write: false })
  const stat = file(tree, 'node/list').attributes()
  t.mock.timers.tick(6000)
  await assert.rejects(opened, fails('timeout', /node\/list/))
  assert.equal((await stat).size, text.length)
})

/** A waiter that goes when it is told to. */
function leavingWaiter(): { waiter: Waiter; leave: () => void } {
  const gone = new AbortController()
  const waiter = new Waiter({ clock: realWorld.clock, limitMs: Infinity, gone: gone.signal })
  return {
    waiter,
    leave: () => {
      gone.abort()
    },
  }
}

test('of several that attach one volume at a time exactly one has attached it, and it is told once', async () => {
  const told: string[] = []
  const { tree, cluster } = makeTree({ onAttachment: ({ kind, volume }) => told.push(`${kind} ${volume}`) })
  const { gate, open } = shutGate()
  cluster.gate = gate
  const name = parseVolumeName('web')
  const attachments = Array.from({ length: 3 }, () => tree.attachments.attach(name))
  open()
  const news = (await Promise.all(attachments)).map(({ isNew }) => isNew)
  assert.deepEqual(news.sort(), [false, false, true])
  assert.deepEqual((await tree.attachments.attach(name)).isNew, false)
  await Promise.all([tree.attachments.detach(name), tree.attachments.detach(name)])
  assert.deepEqual(told, ['attached web', 'detached web'])
})

test('an attach goes on while one of its callers waits, who has attached it then', async () => {
  const { tree, cluster } = makeTree()
  const { gate, open } = shutGate()
  cluster.gate = gate
  const name = parseVolumeName('web')
  const { waiter, leave } = leavingWaiter()
  const first = assert.rejects(tree.attachments.attach(name, {}, waiter), fails('closed'))
  const second = tree.attachments.attach(name)
  leave()
  await first
  open()
  assert.equal((await second).isNew, true)
  assert.deepEqual(cluster.opened, ['web'])
})

test('what nobody waits for any more is not attached, and is attached anew when its end is over', async () => {
  const { tree, cluster } = makeTree()
  const { gate, open } = shutGate()
  cluster.gate = gate
  let closed = 0
  const volume = cluster.volumes.get('web')
  assert.ok(volume)
  volume.close = () => {
    closed++
    return Promise.resolve()
  }
  const name = parseVolumeName('web')
  const { waiter, leave } = leavingWaiter()
  const givenUp = assert.rejects(tree.attachments.attach(name, {}, waiter), fails('closed'))
  await new Promise((resolve) => setImmediate(resolve))
  leave()
  await givenUp
  const again = tree.attachments.attach(name)
  open()
  assert.equal((await again).isNew, true)
  assert.deepEqual(cluster.opened, ['web', 'web'])
  assert.equal(closed, 1) // what was opened for nobody
})

test('a detach whose caller leaves has detached, and is told when the volume is closed', async () => {
  const told: string[] = []
  const { tree, cluster } = makeTree({ onAttachment: ({ kind }) => told.push(kind) })
  const name = parseVolumeName('web')
  await tree.attachments.attach(name)
  const { gate, open } = shutGate()
  const volume = cluster.volumes.get('web')
  assert.ok(volume)
  volume.closing = gate
  const { waiter, leave } = leavingWaiter()
  const left = assert.rejects(tree.attachments.detach(name, {}, waiter), fails('closed', /it is detached/))
  await new Promise((resolve) => setImmediate(resolve))
  leave()
  await left
  assert.deepEqual(tree.attachments.list(), [])
  assert.deepEqual(told, ['attached'])
  const again = tree.attachments.detach(name)
  open()
  await again
  assert.deepEqual(told, ['attached', 'detached'])
})

test('a volume cannot be attached while its VDI is being deleted, nor deleted while it is attached', async () => {
  const { tree } = makeTree()
  const name = parseVolumeName('web')
  const { waiter } = leavingWaiter()
  const { gate, open } = shutGate()
  const deleting = tree.attachments.whileDetached(name, waiter, () => gate)
  await new Promise((resolve) => setImmediate(resolve))
  await assert.rejects(tree.attachments.attach(name), fails('busy', /being deleted/))
  open()
  await deleting
  await tree.attachments.attach(name)
  await assert.rejects(
    tree.attachments.whileDetached(name, waiter, () => gate),
    fails('busy', /is attached here/),
  )
})
