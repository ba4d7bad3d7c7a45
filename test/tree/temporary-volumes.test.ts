import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../../src/clock.ts'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { ClusterTree } from '../../src/tree/cluster-tree.ts'
import type { TreeChange } from '../../src/tree/node.ts'
import { parseVolumeName } from '../../src/tree/volume-name.ts'
import { FakeCluster, FakeVolume } from './fake-cluster.ts'

/** Its timers end when the test says so. */
class HeldClock {
  readonly timers = new Set<() => void>()
  readonly clock: Clock = {
    ...realWorld.clock,
    after: (_ms, run) => {
      this.timers.add(run)
      return { cancel: () => this.timers.delete(run) }
    },
  }

  end(): void {
    for (const run of this.timers) {
      this.timers.delete(run)
      run()
    }
  }
}

function makeTree() {
  const [cluster, held] = [new FakeCluster(), new HeldClock()]
  cluster.volumes.set('web', new FakeVolume())
  const tree = new ClusterTree({
    clock: held.clock,
    facts: cluster,
    openVolume: cluster.openVolume,
    owner: { uid: 0, gid: 0 },
    cache: { pageCache: false },
    log: silentLogger(),
  })
  const reasons: (string | undefined)[] = []
  tree.watch((change: TreeChange) => {
    if (change.kind === 'entry-removed') reasons.push(change.reason)
  })
  const attach = async (isTemporary = true) => (await tree.attachments.attach(WEB, { isTemporary })).file
  return { tree, held, reasons, attach, isAttached: () => tree.attachments.find('web') !== undefined }
}

const WEB = parseVolumeName('web')
const READ = { write: false }

test('a temporary volume goes with its last close, and the reason is told', async () => {
  const { attach, reasons, isAttached } = makeTree()
  const file = await attach()
  const handles = [await file.open(READ), await file.open({ write: true })]
  await handles[0]?.close()
  assert.ok(isAttached())
  await handles[1]?.close()
  assert.equal(isAttached(), false)
  assert.deepEqual(reasons, ['nobody has it open any more'])
})

test('one that nobody opens waits for that, and goes', async () => {
  const { attach, held, reasons, isAttached } = makeTree()
  await attach()
  assert.ok(isAttached())
  held.end()
  assert.equal(isAttached(), false)
  assert.deepEqual(reasons, ['nobody has opened it for 30 s'])
})

test('a last close does not take it from who has attached it again and has yet to open it', async () => {
  const { attach, held, isAttached } = makeTree()
  const file = await attach()
  const handle = await file.open(READ)
  await attach()
  await handle.close()
  assert.ok(isAttached())
  const again = await file.open(READ)
  held.end()
  assert.ok(isAttached())
  await again.close()
  assert.equal(isAttached(), false)
})

test('what a worker closes for its successor stays', async () => {
  const { tree, attach, held, isAttached } = makeTree()
  const file = await attach()
  const handle = await file.open(READ)
  tree.handOver()
  await handle.close()
  held.end()
  assert.ok(isAttached())
  assert.ok(tree.attachments.isTemporary(file))
})

test('what was attached for good, or is kept, stays', async () => {
  const { tree, attach, held, reasons } = makeTree()
  const first = await attach(false)
  await attach()
  await (await first.open(READ)).close()
  await assert.rejects(tree.attachments.detach(WEB, { isTemporary: true }), { code: 'not-found', message: /for good/ })
  await tree.attachments.detach(WEB)
  const second = await attach()
  tree.attachments.keep(second)
  await (await second.open(READ)).close()
  held.end()
  assert.equal(tree.attachments.find('web'), second)
  assert.deepEqual(reasons, [undefined])
})

test('whoever detaches a temporary volume waits for who is about to open it, and for its end', async () => {
  const { tree, attach, reasons } = makeTree()
  const file = await attach()
  await assert.rejects(tree.attachments.detach(WEB, { isTemporary: true }), { code: 'busy', message: /about to/ })
  const handle = await file.open(READ)
  await handle.close()
  await assert.rejects(tree.attachments.detach(WEB, { isTemporary: true }), { code: 'not-found' })
  assert.deepEqual(reasons, ['nobody has it open any more'])
  assert.equal((file.volume as FakeVolume).isClosed, true)
})
