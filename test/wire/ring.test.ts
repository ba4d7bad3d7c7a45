import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fnv1a, littleEndian, sdHash, sdHashNext, sdHashOid, vidHash, type U64 } from '../../src/wire/fnv.ts'
import { parseAddr, type NodeRecord } from '../../src/wire/node-record.ts'
import { dataOid, inodeOid, type ObjectId } from '../../src/wire/object-id.ts'
import { Ring } from '../../src/wire/ring.ts'

const TEST = 0x7c2b25
/** It takes half a second; a list of objects took 36 s and a gigabyte. */
const LARGE = { timeout: 20_000 }

function node(port: number, zone: number, nrVnodes = 128): NodeRecord {
  return { addr: parseAddr('127.0.0.1') ?? new Uint8Array(16), port, nrVnodes, zone, space: 0, disks: [] }
}

function hex({ high, low }: U64): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0')
}

test('objects hash as sheep hashes them', () => {
  const cases: [ObjectId, string][] = [
    [{ high: 0, index: 0 }, 'cb720bf58a2c29ec'],
    [inodeOid(TEST), '8b4b18c243befa1a'],
    [dataOid(TEST, 0), '387358f0fb5c1275'],
    [dataOid(TEST, 1), 'ed0c37b076d586ac'],
    [dataOid(TEST, 2), 'ce708da1ffb9f322'],
    [inodeOid(0x1eb1bf), '49aa62144d8239df'],
  ]
  for (const [oid, expected] of cases) assert.equal(hex(sdHashOid(oid)), expected)
})

test('nodes take their positions on the ring from address and port', () => {
  const cases = [
    ['0000000000000000000000007f000001581b', '9cb3d6dd0a4c0f9f', '3af2cba6e538cdf3', 'fd38432fd111924b'],
    ['0000000000000000000000007f000001621b', '72dbb61ad3931b20', '4a404d3593f9fb66', '9ddd8641e92a8729'],
    ['0000000000000000000000007f0000016c1b', 'adc6b881e2709885', '23f070476aca9392', '6c759cfe9bed9ebb'],
  ]
  for (const [key = '', ...positions] of cases) {
    const seed = sdHash(Buffer.from(key, 'hex'))
    const first = sdHashNext(seed)
    assert.deepEqual([seed, first, sdHashNext(first)].map(hex), positions)
  }
})

test('an object is held where a real cluster of three keeps it', () => {
  const ring = Ring.of([node(7000, 0), node(7010, 1), node(7020, 2)])
  const oids = [inodeOid(TEST), dataOid(TEST, 0), dataOid(TEST, 1), dataOid(TEST, 2)]
  assert.deepEqual(
    oids.map((oid) => ring.holders(oid, 1)),
    [[1], [1], [1], [0]],
  )
})

test('two copies are in two zones, none on a gateway', () => {
  const ring = Ring.of([node(7600, 0), node(7610, 1), node(7620, 2), node(7630, 3, 0), node(7640, 4)])
  assert.deepEqual(ring.holders(inodeOid(0x1eb1bf), 2), [1, 0])
})

test('there are no more copies than zones with storing nodes', () => {
  const ring = Ring.of([node(7000, 5), node(7010, 5), node(7020, 6), node(7030, 7, 0)])
  const holders = ring.holders(dataOid(TEST, 0), 4)
  assert.equal(holders.length, 2)
  assert.ok(holders.includes(2))
  assert.deepEqual(Ring.of([]).holders(dataOid(TEST, 0), 1), [])
  assert.deepEqual(Ring.of([node(7000, 0, 0)]).holders(dataOid(TEST, 0), 1), [])
})

function diskNode(index: number, diskSizes: readonly number[]): NodeRecord {
  const disks = diskSizes.map((space, disk) => ({ idLow: 100 * index + disk + 1, idHigh: 7 * disk, space }))
  return { ...node(7000 + index, index, 1), disks }
}

/** The first holder of an object as sheep finds it, one vnode after another. */
function firstHolder(nodes: readonly NodeRecord[], oid: ObjectId): number {
  let best: { distance: bigint; owner: number } | undefined
  const at = (hash: U64): bigint => (BigInt(hash.high) << 32n) | BigInt(hash.low)
  const wanted = at(sdHashOid(oid))
  nodes.forEach(({ addr, port, disks }, owner) => {
    const seed = littleEndian(sdHash(Uint8Array.of(...addr, port & 0xff, port >> 8)))
    for (const { idHigh, idLow, space } of disks) {
      let hash = fnv1a(seed, { high: idHigh, low: idLow })
      for (let vnode = 0; vnode < Math.ceil(space / 2 ** 32); vnode++) {
        hash = sdHashNext(hash)
        const distance = (at(hash) - wanted) & 0xffff_ffff_ffff_ffffn
        if (!best || distance < best.distance) best = { distance, owner }
      }
    }
  })
  return best?.owner ?? -1
}

test('in disk mode an object is held by the node of the next position of all disks', () => {
  const nodes = [diskNode(0, [2 ** 40, 1]), diskNode(1, [2 ** 41]), diskNode(2, [2 ** 33, 3 * 2 ** 32, 2 ** 39])]
  const ring = Ring.of(nodes, true)
  for (let index = 0; index < 64; index++) {
    const oid = dataOid(TEST, index)
    assert.equal(ring.holders(oid, 1)[0], firstHolder(nodes, oid), `object ${index}`)
  }
})

test('in disk mode a node with a multiple of 65536 vnodes counts as a gateway, as sheep counts it', () => {
  const nodes = [diskNode(0, [2 ** 32 * 65_536]), diskNode(1, [2 ** 40]), diskNode(2, [2 ** 40])]
  assert.equal(Ring.of(nodes, true).holders(dataOid(TEST, 0), 3).length, 2)
})

test('the ring of 60 nodes with 12 disks of 16 TiB is made in slices, in 20 bytes a position', LARGE, () => {
  const nodes = Array.from({ length: 60 }, (_, index) => diskNode(index, new Array<number>(12).fill(2 ** 44)))
  const positions = (60 * 12 * 2 ** 44) / 2 ** 32
  const before = process.memoryUsage().arrayBuffers
  let slices = 0
  for (const building = Ring.build(nodes, true); building.next().done !== true;) slices++
  assert.ok(slices > (3 * positions) / 50_000, `${slices} slices`)
  const used = process.memoryUsage().arrayBuffers - before
  assert.ok(used < 25 * positions, `${used} bytes for ${positions} positions`)
})

const FNV_INVERSE = 0xce965057aff6957bn

/** The disk whose walk begins at 0, and stays there: the hash of 0, going on from 0, is 0. */
function idOfHash0(seed: Uint8Array): { idLow: number; idHigh: number } {
  let hash = 0n
  for (const byte of seed.toReversed()) hash = BigInt.asUintN(64, hash * FNV_INVERSE) ^ BigInt(byte)
  return { idLow: Number(hash & 0xffff_ffffn), idHigh: Number(hash >> 32n) }
}

test('a ring whose places are all the same, or made up, is made in time', LARGE, () => {
  const seed = sdHash(Uint8Array.of(...node(7000, 0).addr, 7000 & 0xff, 7000 >> 8))
  const still = { ...idOfHash0(littleEndian(seed)), space: 2 ** 32 * (2 ** 22 - 40_001) }
  const alike = Array.from({ length: 20_000 }, () => ({ idLow: 5, idHigh: 5, space: 2 ** 33 }))
  const ring = Ring.of([{ ...node(7000, 0), disks: [still, ...alike] }, node(7010, 1)], true)
  assert.equal(ring.size, 2 ** 22 - 1)
  assert.deepEqual(ring.holders(dataOid(TEST, 0), 2), [0])
})

test('a ring in which one zone has nearly all places is looked through at once', LARGE, () => {
  const nodes = [diskNode(0, [2 ** 32 * (2 ** 22 - 1)]), diskNode(1, [2 ** 32])]
  assert.deepEqual(Ring.of(nodes, true).holders(dataOid(TEST, 0), 2).length, 2)
})

test('more places than any cluster has are refused before anything is made', () => {
  const nodes = [diskNode(0, [2 ** 32 * 2 ** 22]), diskNode(1, [2 ** 32])]
  assert.throws(() => Ring.build(nodes, true).next(), RangeError)
})

test('the vid of a name', () => {
  assert.equal(vidHash(Buffer.from('demo')), 0x76d396)
  assert.equal(vidHash(Buffer.from('test')), TEST)
  assert.equal(vidHash(Buffer.from('huge')), 0xc1a482)
})
