import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { TreeStore } from '../../src/volume/index/tree-store.ts'
import type { Volume } from '../../src/volume/volume.ts'
import { encodeNode, MAX_LEAF_ENTRIES } from '../../src/wire/btree.ts'
import { btreeOid, dataOid } from '../../src/wire/object-id.ts'
import { createObject, readObject } from '../../src/wire/object-ops.ts'
import { Result } from '../../src/wire/sd-proto.ts'
import { missing } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { Stage } from './stage/stage.ts'

const TIB = 2 ** 40
const SIZE = 16 * TIB
const OBJECT = 4 * 2 ** 20
const LENGTH = 8192
/** The ends of the volume, an edge of objects, and places all over it. */
const PLACES = [
  0,
  3 * OBJECT - 100,
  SIZE - LENGTH,
  ...Array.from({ length: 20 }, () => Math.floor(Math.random() * (SIZE - LENGTH))),
]

interface Attached {
  readonly volume: Volume
  readonly cluster: Cluster
}

/** Text, because that is how it comes out of dog here. */
function randomText(): string {
  return randomBytes(LENGTH / 2).toString('hex')
}

describe('a hyper volume of 16 TiB', { timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  async function attached<T>(name: string, use: (attached: Attached) => Promise<T>): Promise<T> {
    const cluster = new Cluster({ world: realWorld, addresses: [sheep.address], log: silentLogger() })
    await cluster.open()
    try {
      const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log: silentLogger() })
      const result = await use({ volume, cluster })
      await volume.close()
      return result
    } finally {
      cluster.close()
    }
  }

  async function assertReads(volume: Volume, written: ReadonlyMap<number, string>): Promise<void> {
    for (const [position, text] of written) {
      const into = Buffer.alloc(LENGTH)
      await volume.read(position, into)
      assert.equal(into.toString(), text, `at ${position}`)
    }
  }

  async function writeAll(volume: Volume, places: readonly number[]): Promise<Map<number, string>> {
    const written = new Map(places.map((position) => [position, randomText()]))
    await Promise.all([...written].map(([position, text]) => volume.write(position, Buffer.from(text))))
    return written
  }

  /** Fills the root, or one leaf under it, with entries of which every eighth index up to the end is there. */
  async function fill({ volume, cluster }: Attached, depth: 1 | 2): Promise<void> {
    const entries = new Uint32Array(2 * MAX_LEAF_ENTRIES)
    for (let k = 0; k < MAX_LEAF_ENTRIES; k++) entries[2 * k] = 8 * k // discarded: no object is behind them
    const { vid } = volume
    const store = new TreeStore(cluster, vid)
    const { nextNumber } = await store.readTree()
    if (depth === 1) return store.writeRoot({ vid, root: { depth, entries }, nextNumber }, 'all')
    const leaf = { last: 8 * (MAX_LEAF_ENTRIES - 1), oid: btreeOid(vid, nextNumber) }
    const { result } = await cluster.change(createObject(leaf.oid, 0, encodeNode({ depth: 1, entries })))
    assert.equal(result, Result.SUCCESS)
    await store.writeRoot({ vid, root: { depth, leaves: [leaf] }, nextNumber: nextNumber + 1 }, 'all')
  }

  test('keeps what was written all over it', async () => {
    const name = await sheep.createVdi(SIZE, { storePolicy: 1, blockSizeShift: 22 })
    const written = await attached(name, ({ volume }) => writeAll(volume, PLACES))
    await attached(name, async ({ volume }) => {
      await assertReads(volume, written)
      assert.equal(await volume.seek(0, 'hole'), OBJECT)
      assert.equal(await volume.seek(OBJECT, 'data'), 2 * OBJECT)
      assert.ok(volume.allocatedBytes >= PLACES.length * OBJECT)
    })
  })

  test('gives objects back to the cluster', async () => {
    const name = await sheep.createVdi(SIZE, { storePolicy: 1, blockSizeShift: 22 })
    await attached(name, async ({ volume, cluster }) => {
      await writeAll(volume, PLACES)
      await volume.zero(0, SIZE)
      assert.equal(volume.allocatedBytes, 0)
      for (const position of PLACES) {
        const { result } = await cluster.read(readObject(dataOid(volume.vid, Math.floor(position / OBJECT)), 0, 1))
        assert.equal(result, Result.NO_OBJ)
      }
      const written = await writeAll(volume, PLACES)
      await assertReads(volume, written)
    })
  })

  for (const { depth, what } of [
    { depth: 1 as const, what: 'root' },
    { depth: 2 as const, what: 'leaf' },
  ]) {
    test(`keeps what was written before and after its ${what} is split`, async () => {
      const name = await sheep.createVdi(SIZE, { storePolicy: 1, blockSizeShift: 22 })
      await attached(name, (opened) => fill(opened, depth))
      const written = await attached(name, ({ volume }) => writeAll(volume, PLACES))
      await attached(name, ({ volume }) => assertReads(volume, written))
      if (missing('dog') === false) await assertDogReads(name, written)
    })
  }

  // with dog, which is rarely installed, the other way round too: nothing to skip without it
  if (missing('dog') === false) {
    for (const depth of [undefined, 1, 2] as const) {
      test(`is the same for dog${depth ? `, its tree filled to depth ${depth}` : ''}`, async () => {
        const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
        await dog(['create', '-y', name, '16T'])
        sheep.removeLater(Buffer.from(name), await sheep.vidOf(name))
        if (depth) await attached(name, (opened) => fill(opened, depth))
        const ours = await attached(name, ({ volume }) => writeAll(volume, PLACES.slice(0, 12)))
        await assertDogReads(name, ours)
        const theirs = new Map(PLACES.slice(12).map((position) => [position, randomText()]))
        for (const [position, text] of theirs) await dog(['write', name, String(position), String(LENGTH)], text)
        await attached(name, async ({ volume }) => {
          await assertReads(volume, theirs)
          await assertReads(volume, ours)
        })
      })
    }
  }

  function dog([verb = '', ...args]: readonly string[], input = ''): Promise<string> {
    const { host, port } = sheep.address
    return succeed('dog', ['vdi', verb, '-a', host, '-p', String(port), ...args], { input })
  }

  async function assertDogReads(name: string, written: ReadonlyMap<number, string>): Promise<void> {
    for (const [position, text] of written) {
      const read = await dog(['read', name, String(position), String(LENGTH)])
      assert.equal(read, text, `dog at ${position}`)
    }
  }
})
