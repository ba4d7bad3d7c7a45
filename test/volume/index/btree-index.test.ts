import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { isSheepfsError, SheepfsError } from '../../../src/errors.ts'
import { IndexMemory } from '../../../src/volume/index/index-memory.ts'
import { BtreeIndex } from '../../../src/volume/index/btree-index.ts'
import {
  BTREE_ROOT_OFFSET,
  encodeNode,
  MAX_LEAF_ENTRIES,
  type BtreeNode,
  type LeafEntries,
} from '../../../src/wire/btree.ts'
import { btreeOid, dataOid, inodeOid, oidText } from '../../../src/wire/object-id.ts'
import { createObject, writeObject } from '../../../src/wire/object-ops.ts'
import { realWorld } from '../../../src/daemon/real-world.ts'
import { silentLogger } from '../../../src/log.ts'
import { Outage } from '../../../src/sheep/outage.ts'
import { DEFAULT_TIMING } from '../../../src/sheep/timing.ts'
import { MemoryCluster, MemoryObjects, ReplicatedCluster } from './memory-objects.ts'

const VID = 0x54e456
const TIMEOUT = 60_000
const SMALL = { root: 5, leaf: 5, indirect: 1000 }
/** As sheepdog's own code has it. */
const WHOLE = { capacity: { root: MAX_LEAF_ENTRIES, leaf: MAX_LEAF_ENTRIES, indirect: 1000 } }
const small = () => ({ capacity: SMALL, memory: new IndexMemory(100) })
const OBJECTS = 2 ** 22

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function words(...values: number[]): string {
  return hex(new Uint8Array(new Uint32Array(values).buffer))
}

function entries(count: number, indexOf: (k: number) => number): LeafEntries {
  return new Uint32Array(Array.from({ length: 2 * count }, (_, at) => (at % 2 === 0 ? indexOf(at / 2) : VID)))
}

async function publishAll(index: BtreeIndex, indices: readonly number[], vid = VID): Promise<void> {
  await Promise.all(indices.map((i) => index.publish(i, vid)))
}

describe('a hyper volume in the bytes of a real cluster', { timeout: TIMEOUT }, () => {
  test('three objects stand in the root, in order', async () => {
    const vid = 0x5f07d2
    const objects = new MemoryObjects(vid)
    const cluster = new MemoryCluster(objects)
    const index = await BtreeIndex.load(cluster, vid, OBJECTS)
    for (const i of [0, 2097152, 1]) await index.publish(i, vid)
    assert.equal(
      hex(objects.bytes(inodeOid(vid), BTREE_ROOT_OFFSET, 32)),
      '7462010003000000' + '00000000d2075f00' + '01000000d2075f00' + '00002000d2075f00',
    )
    assert.deepEqual(cluster.sent, [
      'WRITE 805f07d200000000 568+4112',
      'WRITE 805f07d200000000 568+4120',
      'WRITE 805f07d200000000 568+4128',
    ])
  })

  test('a full root is split in two leaves', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    const even = entries(524_287, (k) => 2 * k)
    objects.execute(writeObject(inodeOid(VID), BTREE_ROOT_OFFSET, encodeNode({ depth: 1, entries: even })))
    const index = await BtreeIndex.load(cluster, VID, OBJECTS, WHOLE)
    await index.publish(1_048_585, VID)
    assert.deepEqual(cluster.sent, [
      `CREATE 1054e45600000000 0+${8 + 262_143 * 8}`,
      `CREATE 1054e45600000001 0+${8 + 262_145 * 8}`,
      'WRITE 8054e45600000000 568+4136',
    ])
    assert.equal(hex(objects.bytes(inodeOid(VID), 568, 4)), words(2))
    const root = ['74620200', words(2), words(524_284, 0), '0000000056e45410', words(1_048_585, 0), '0100000056e45410']
    assert.equal(hex(objects.bytes(inodeOid(VID), BTREE_ROOT_OFFSET, 40)), root.join(''))
    const left = objects.bytes(btreeOid(VID, 0), 0, 8 + 262_143 * 8)
    assert.equal(hex(left.subarray(0, 16)), '74620100' + words(262_143, 0, VID))
    assert.equal(hex(left.subarray(-8)), words(524_284, VID))
    const right = objects.bytes(btreeOid(VID, 1), 0, 8 + 262_145 * 8)
    assert.equal(hex(right.subarray(0, 16)), '74620100' + words(262_145, 524_286, VID))
    assert.equal(hex(right.subarray(-16)), words(1_048_572, VID, 1_048_585, VID))
  })

  test('a full last leaf gets another one after it', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    const leaf = { last: 524_286, oid: btreeOid(VID, 0) }
    const full = entries(524_287, (k) => k)
    objects.execute(createObject(leaf.oid, 0, encodeNode({ depth: 1, entries: full })))
    objects.execute(writeObject(inodeOid(VID), BTREE_ROOT_OFFSET, encodeNode({ depth: 2, leaves: [leaf] })))
    const index = await BtreeIndex.load(cluster, VID, OBJECTS, WHOLE)
    await index.publish(2_000_000, VID)
    assert.deepEqual(cluster.sent, ['CREATE 1054e45600000001 0+16', 'WRITE 8054e45600000000 568+4136'])
    assert.equal(hex(objects.bytes(inodeOid(VID), BTREE_ROOT_OFFSET + 24, 16)), words(2_000_000, 0, 1, 0x1054e456))
  })
})

describe('a hyper volume of 1.6 TiB', { timeout: TIMEOUT }, () => {
  const COUNT = 400_000
  const MOST = 2 ** 19 + 8192
  const bytesOf = (text: string): number => Number(text.slice(text.lastIndexOf('+') + 1))

  /** Every other object is there, in a node of sheepdog's own: the root, or a leaf. */
  async function filled(depth: 1 | 2) {
    const objects = new MemoryObjects(VID)
    const node: BtreeNode = { depth: 1, entries: entries(COUNT, (k) => 2 * k) }
    const leaf = { last: 2 * COUNT - 2, oid: btreeOid(VID, 0) }
    objects.execute(createObject(leaf.oid, 0, encodeNode(node)))
    const root = depth === 1 ? node : ({ depth, leaves: [leaf] } as const)
    objects.execute(writeObject(inodeOid(VID), BTREE_ROOT_OFFSET, encodeNode(root)))
    const cluster = new MemoryCluster(objects)
    return { objects, cluster, index: await BtreeIndex.load(cluster, VID, OBJECTS) }
  }

  for (const depth of [1, 2] as const) {
    test(`an insert is half a MiB at most, once its ${depth === 1 ? 'root' : 'leaf'} is split`, async () => {
      const { objects, cluster, index } = await filled(depth)
      await index.publish(COUNT + 1, VID)
      const inserted = [1, 7, 400_003, 500_001, 799_997]
      for (const i of inserted) {
        cluster.sent.length = 0
        await index.publish(i, VID)
        assert.ok(cluster.sent.reduce((sum, text) => sum + bytesOf(text), 0) < MOST, cluster.sent.join())
      }
      const fresh = await BtreeIndex.load(new MemoryCluster(objects), VID, OBJECTS)
      assert.equal(fresh.allocated, COUNT + 1 + inserted.length)
      for (const i of [...inserted, COUNT + 1, 0, 2, 2 * COUNT - 2]) assert.equal(await fresh.owner(i), VID)
      for (const i of [3, 400_005, 2 * COUNT - 1]) assert.equal(await fresh.owner(i), 0)
    })
  }

  test('a change of an entry sends that entry, and splits nothing', async () => {
    const { cluster, index } = await filled(2)
    await index.publish(COUNT, 0x111111)
    assert.deepEqual(cluster.sent, [`WRITE 1054e45600000000 ${8 + 8 * (COUNT / 2)}+8`])
  })

  test('an object past the end goes to a leaf of its own, not into one that is larger than others', async () => {
    const { cluster, index } = await filled(2)
    await index.publish(2 * COUNT + 9, VID)
    assert.deepEqual(cluster.sent, ['CREATE 1054e45600000001 0+16', 'WRITE 8054e45600000000 568+4136'])
  })
})

describe('a hyper volume with small nodes', { timeout: TIMEOUT }, () => {
  const step = fc.array(fc.record({ index: fc.nat(120), held: fc.boolean() }), { minLength: 1, maxLength: 40 })

  test('holds what a map holds, whatever is published together, also when read anew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        const objects = new MemoryObjects(VID)
        const index = await BtreeIndex.load(new MemoryCluster(objects), VID, 200, small())
        const model = new Map<number, number>()
        for (const changes of steps) await applyStep(index, model, changes)
        await assertHolds(index, model)
        await assertHolds(await BtreeIndex.load(new MemoryCluster(objects), VID, 200, small()), model)
      }),
      { numRuns: 60 },
    )
  })

  test('loses nothing that was acknowledged when the client dies after any request', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 8 }),
        fc.nat(30),
        fc.boolean(),
        async (steps, dieAfter, isLastExecuted) => {
          const objects = new MemoryObjects(VID)
          const cluster = new MemoryCluster(objects)
          Object.assign(cluster, { dieAfter, isLastExecuted })
          const index = await BtreeIndex.load(cluster, VID, 200, small())
          const model = new Map<number, number>()
          const unknown = new Set<number>()
          for (const changes of steps) await applyStep(index, model, changes, unknown)
          const fresh = await BtreeIndex.load(new MemoryCluster(objects), VID, 200, small())
          await assertHolds(fresh, model, unknown)
          const more = [1, 50, 51, 52, 53, 54, 99, 150]
          for (const i of more) {
            if ((await fresh.owner(i)) === 0) await fresh.publish(i, VID)
            unknown.delete(i)
            model.set(i, VID)
          }
          const again = await BtreeIndex.load(new MemoryCluster(objects), VID, 200, small())
          await assertHolds(again, model, unknown)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('goes on after an update that failed half-way, with what the cluster has', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 2, maxLength: 8 }),
        fc.nat(30),
        fc.boolean(),
        async (steps, dieAfter, isLastExecuted) => {
          const objects = new MemoryObjects(VID)
          const cluster = new MemoryCluster(objects)
          Object.assign(cluster, { dieAfter, isLastExecuted })
          const index = await BtreeIndex.load(cluster, VID, 200, small())
          const model = new Map<number, number>()
          const unknown = new Set<number>()
          for (const changes of steps) {
            await applyStep(index, model, changes, unknown)
            if (unknown.size > 0) cluster.dieAfter = Infinity
          }
          cluster.dieAfter = Infinity
          await index.publish(199, VID)
          model.set(199, VID)
          await assertHolds(index, model, unknown)
          const fresh = await BtreeIndex.load(new MemoryCluster(objects), VID, 200, small())
          for (let i = 0; i < 200; i++) assert.equal(await index.owner(i), await fresh.owner(i), `object ${i}`)
        },
      ),
      { numRuns: 100 },
    )
  })

  test('shows what was acknowledged at any moment, while leaves are split and dropped', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    cluster.turns = 2
    const index = await BtreeIndex.load(cluster, VID, 2000, { capacity: SMALL, memory: new IndexMemory(0) })
    const acknowledged: number[] = []
    const remaining = Array.from({ length: 300 }, (_, k) => (k * 769) % 2000).values()
    const writer = async (): Promise<void> => {
      for (const i of remaining) {
        if (Math.random() < 0.5) await new Promise((resolve) => setImmediate(resolve)) // else all go in step
        await index.publish(i, VID)
        acknowledged.push(i)
      }
    }
    const writers = Promise.all([writer(), writer(), writer(), writer(), writer()])
    const reader = async (): Promise<void> => {
      for (let k = 0; acknowledged.length < 300; k++) {
        await new Promise((resolve) => setImmediate(resolve))
        const i = acknowledged[(k * 31) % acknowledged.length]
        if (i === undefined) continue
        assert.equal(await index.owner(i), VID, `object ${i}`)
        assert.equal(await index.next(i, 'data'), i)
      }
    }
    await Promise.all([reader(), reader(), reader()])
    await writers
    assert.equal(cluster.mostAtOnce, 1, 'one change of a node at a time')
    assert.equal(index.allocated, 300)
  })

  test('an object that is given back is removed after its entry', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    const index = await BtreeIndex.load(cluster, VID, 200, small())
    objects.execute(createObject(dataOid(VID, 7), 0, new Uint8Array(4)))
    await publishAll(index, [3, 7])
    await index.publish(3, 0x111111)
    cluster.sent.length = 0
    await Promise.all([index.publish(7, 0), index.publish(3, 0)])
    const root = cluster.sent.findIndex((text) => text.startsWith('WRITE 80'))
    const removal = cluster.sent.indexOf(`REMOVE ${oidText(dataOid(VID, 7))} 0+0`)
    assert.ok(root !== -1 && removal > root)
    assert.equal(cluster.sent.filter((text) => text.startsWith('REMOVE')).length, 1, 'an inherited object stays')
    assert.equal(index.allocated, 0)
    assert.equal(await index.next(0, 'data'), 200)
  })

  test('publishes that come while an update is under way leave together', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    const index = await BtreeIndex.load(cluster, VID, OBJECTS)
    const first = index.publish(0, VID)
    await Promise.resolve()
    await Promise.resolve()
    await Promise.all([first, ...[5, 3, 9, 1].map((i) => index.publish(i, VID))])
    assert.equal(cluster.sent.length, 2)
  })

  test('a change of an entry in a leaf writes that entry, an append its entries and then their count', async () => {
    const objects = new MemoryObjects(VID)
    const cluster = new MemoryCluster(objects)
    const index = await BtreeIndex.load(cluster, VID, 200, small())
    await publishAll(index, [0, 1, 2, 3, 4])
    await index.publish(5, VID)
    cluster.sent.length = 0
    await index.publish(3, 0x111111)
    assert.deepEqual(cluster.sent, ['WRITE 1054e45600000001 16+8'])
    cluster.sent.length = 0
    await index.publish(7, VID)
    assert.deepEqual(cluster.sent, [
      'WRITE 1054e45600000001 40+8',
      'WRITE 1054e45600000001 0+8',
      'WRITE 8054e45600000000 568+4136',
    ])
  })

  test('a tree that is none is refused, naming the node', async () => {
    const objects = new MemoryObjects(VID)
    objects.execute(writeObject(inodeOid(VID), BTREE_ROOT_OFFSET, new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8])))
    await assert.rejects(
      BtreeIndex.load(new MemoryCluster(objects), VID, 200),
      (error) => isSheepfsError(error, 'io') && error.message.includes('8054e45600000000'),
    )
  })

  test('an inode that is gone is stale', async () => {
    const objects = new MemoryObjects(VID)
    const index = await BtreeIndex.load(new MemoryCluster(objects), VID, 200)
    objects.objects.clear()
    await assert.rejects(index.publish(1, VID), (error) => isSheepfsError(error, 'stale'))
  })

  test('an inode that is missing when the cluster comes back is waited for', async (t) => {
    const objects = new MemoryObjects(VID)
    const inode = [...objects.objects]
    objects.objects.clear()
    const cluster = new MemoryCluster(objects)
    cluster.ioTimeoutMs = 100
    const read = cluster.read.bind(cluster)
    let reads = 0
    t.mock.method(cluster, 'read', async (...args: Parameters<typeof read>) => {
      if (++reads === 1)
        await pause(2 * cluster.ioTimeoutMs) // the outage
      else for (const [id, bytes] of inode) objects.objects.set(id, bytes)
      return read(...args)
    })
    assert.equal((await BtreeIndex.load(cluster, VID, 200)).allocated, 0)
  })
})

type Step = readonly { index: number; held: boolean }[]

/** Publishes what differs, all at the same time; `unknown` collects the objects whose publish failed. */
async function applyStep(
  index: BtreeIndex,
  model: Map<number, number>,
  changes: Step,
  unknown = new Set<number>(),
): Promise<void> {
  const wanted = new Map(changes.map((change) => [change.index, change.held ? VID : 0]))
  const differing = [...wanted].filter(([i, vid]) => !unknown.has(i) && (model.get(i) ?? 0) !== vid)
  const results = await Promise.allSettled(differing.map(([i, vid]) => index.publish(i, vid)))
  results.forEach((result, k) => {
    const [i, vid] = differing[k] ?? [0, 0]
    if (result.status === 'fulfilled') model.set(i, vid)
    else unknown.add(i)
  })
}

async function assertHolds(
  index: BtreeIndex,
  model: ReadonlyMap<number, number>,
  unknown: ReadonlySet<number> = new Set<number>(),
): Promise<void> {
  let allocated = 0
  const held: boolean[] = []
  for (let i = 0; i < 200; i++) {
    const owner = await index.owner(i)
    if (!unknown.has(i)) assert.equal(owner, model.get(i) ?? 0, `object ${i}`)
    held.push(owner !== 0)
    if (owner !== 0) allocated++
  }
  assert.equal(index.allocated, allocated)
  for (const from of [0, 1, 17, 60, 119, 199]) {
    const after = (wanted: boolean): number => {
      const found = held.indexOf(wanted, from)
      return found === -1 ? 200 : found
    }
    assert.equal(await index.next(from, 'data'), after(true))
    assert.equal(await index.next(from, 'hole'), after(false))
  }
}

for (const count of [4, 9]) {
  test(`an update of ${count} objects that one replica has not taken does not mix them up`, async () => {
    const replicas = [new MemoryObjects(VID), new MemoryObjects(VID)] as const
    const cluster = new ReplicatedCluster(replicas)
    const index = await BtreeIndex.load(cluster, VID, OBJECTS, small())
    for (let i = 0; i < count; i++) await index.publish(2 * i, VID)
    cluster.isSecondFull = true
    await assert.rejects(index.publish(2 * count - 5, VID), { code: 'no-space' })
    cluster.isSecondFull = false
    await index.publish(2 * count - 4, 0)
    for (const replica of replicas) {
      const stored = await BtreeIndex.load(new MemoryCluster(replica), VID, OBJECTS, small())
      const owners = await Promise.all(Array.from({ length: count }, async (_, i) => stored.owner(2 * i)))
      assert.deepEqual(
        owners,
        Array.from({ length: count }, (_, i) => (i === count - 2 ? 0 : VID)),
      )
    }
  })
}

test('an update that fails is over before the next one begins', async () => {
  const objects = new MemoryObjects(VID)
  const cluster = new MemoryCluster(objects)
  const index = await BtreeIndex.load(cluster, VID, OBJECTS, small())
  for (let i = 0; i < 9; i++) await index.publish(2 * i, VID)
  const change = cluster.change.bind(cluster)
  let changes = 0
  let slow: ReturnType<typeof change> | undefined
  cluster.change = async (message) => {
    changes++
    if (changes === 1) throw new SheepfsError('no-space', 'full')
    if (changes !== 2) return change(message)
    slow = pause(20).then(() => change(message))
    return slow
  }
  const failing = [index.publish(1, VID), index.publish(15, VID)]
  assert.deepEqual(
    (await Promise.allSettled(failing)).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  await index.publish(13, VID)
  await slow
  const stored = await BtreeIndex.load(new MemoryCluster(objects), VID, OBJECTS, small())
  assert.equal(await stored.owner(13), VID)
})

test(
  'an update ends with the patience of its eldest request, and those that began later go on',
  { timeout: TIMEOUT },
  async () => {
    let passedMs = 0
    const clock = { ...realWorld.clock, now: () => passedMs }
    const options = { timing: DEFAULT_TIMING, clock, log: silentLogger(), onChange: () => undefined }
    const outage = new Outage({ ...options, timeoutMs: 1000 })
    const cluster = new MemoryCluster(new MemoryObjects(VID))
    cluster.withPatience = (patience, work) => outage.withPatience({ patience }, work)
    const index = await BtreeIndex.load(cluster, VID, OBJECTS)
    let isAway = true
    cluster.beforeChange = async (patience) => {
      while (isAway) {
        passedMs += 100
        await patience?.wait(new SheepfsError('unreachable', 'no sheep answers'))
      }
    }
    const eldest = outage.patience()
    passedMs += 600
    const [first, second] = [index.publish(1, VID, eldest), index.publish(2, VID, outage.patience())]
    const queued = Promise.resolve().then(() => index.publish(3, VID, eldest))
    queued.catch(() => undefined)
    await assert.rejects(first, { code: 'unreachable' })
    assert.equal(passedMs, 1000)
    await assert.rejects(queued, { code: 'unreachable' })
    isAway = false
    await second
    assert.deepEqual([await index.owner(1), await index.owner(2)], [0, VID])
  },
)
