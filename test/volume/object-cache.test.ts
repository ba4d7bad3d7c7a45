import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import type { Volume } from '../../src/volume/volume.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { FAST } from '../sheep/staged-cluster.ts'
import { scratchDirectory } from '../lamb/scratch.ts'

const LIMIT = { timeout: 60_000 }
const MIB = 1 << 20
const SPEC = { name: Buffer.from('vdi') }
const OBJECTS = 4
const OBJECT_SIZE = 4 * MIB
const WRITERS = 8
/** No sheep is lost here, however slow the machine is. */
const TIMING = { ...FAST, deadlineMs: 10_000 }

/** A volume whose writes go through one gateway and whose reads go to another; each has an object cache. */
async function cached(t: TestContext) {
  const lamb = new Lamb({
    store: await scratchDirectory(t),
    port: 0,
    gateways: 2,
    release: '0.9',
    hasObjectCache: true,
    vdis: [{ name: 'vdi', size: OBJECTS * OBJECT_SIZE }],
  })
  const { host, ports } = await lamb.open()
  const clients: Cluster[] = []
  const open = async (how: { at?: 'store' | 'gateway'; readOnly?: boolean } = {}) => {
    const port = ports[how.at === 'store' ? 0 : 1] ?? 0
    const cluster = new Cluster({ world: realWorld, addresses: [{ host, port }], log: silentLogger(), timing: TIMING })
    clients.push(cluster)
    await cluster.open()
    const volume = await openVolume(cluster, SPEC, { log: silentLogger(), readOnly: how.readOnly === true })
    return { cluster, volume }
  }
  t.after(async () => {
    for (const client of clients) client.close()
    await lamb.close()
  })
  return { lamb, open }
}

/** Writes blocks of its own object over and over, and reads each back; so many times. */
async function verify(volume: Volume, writer: number, rounds: number): Promise<void> {
  const place = ((writer % OBJECTS) + writer / WRITERS) * OBJECT_SIZE
  const into = new Uint8Array(4096)
  for (let round = 0; round < rounds; round++) {
    const value = (round + writer) % 256
    await volume.write(place, new Uint8Array(4096).fill(value))
    await volume.read(place, into)
    assert.ok(
      into.every((byte) => byte === value),
      `writer ${writer}, round ${round}: ${into[0]} for ${value}`,
    )
  }
}

function everyone(volume: Volume, rounds: number): Promise<unknown> {
  return Promise.all(Array.from({ length: WRITERS }, (_, writer) => verify(volume, writer, rounds)))
}

test('without the object cache no old data is read where every gateway has one', LIMIT, async (t) => {
  const { volume } = await (await cached(t)).open()
  await everyone(volume, 30)
})

test('nor while it is switched on and off', LIMIT, async (t) => {
  const { volume, cluster } = await (await cached(t)).open()
  const done = new AbortController()
  const load = everyone(volume, 200).finally(() => {
    done.abort()
  })
  let switches = 0
  for (; !done.signal.aborted; switches++) await cluster.setObjectCache(switches % 2 === 0)
  await load
  assert.ok(switches > 4, `${switches} switches`)
})

test('nor of what a gateway has kept from before the volume was attached', LIMIT, async (t) => {
  const { open } = await cached(t)
  const former = await open({ at: 'store' })
  await former.cluster.setObjectCache(true)
  await verify(former.volume, 0, 2)
  former.cluster.close() // killed: the gateway that is read from keeps the object in its cache
  const { volume } = await open()
  await verify(volume, 0, 5)
})

test('what was written to the object cache is on the cluster when it is switched off', LIMIT, async (t) => {
  const { open } = await cached(t)
  const writer = await open()
  await writer.cluster.setObjectCache(true)
  await writer.volume.write(0, Buffer.from('late'))
  await writer.cluster.setObjectCache(false)
  const reader = await open({ at: 'store', readOnly: true })
  const into = Buffer.alloc(4)
  await reader.volume.read(0, into)
  assert.equal(into.toString(), 'late')
})

test('a switch that cannot empty the cache changes nothing', LIMIT, async (t) => {
  const { lamb, open } = await cached(t)
  const { volume, cluster } = await open()
  await cluster.setObjectCache(true)
  await volume.write(0, Buffer.from('late'))
  lamb.faults.addRule({ opcode: Opcode.FLUSH_VDI, action: { result: Result.EIO }, count: 1 })
  await assert.rejects(cluster.setObjectCache(false), { code: 'io' })
  assert.equal(cluster.objectCache, true)
  await verify(volume, 0, 3)
  await cluster.setObjectCache(false)
  await verify(volume, 0, 3)
})
