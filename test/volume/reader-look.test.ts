import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Opcode } from '../../src/wire/sd-proto.ts'
import { lambCluster } from './manage/lamb-cluster.ts'

const limit = { timeout: 60_000 }
const log = silentLogger()
const MiB = 2 ** 20
const OBJECT = 4 * MiB
const name = Buffer.from('v')

/** A VDI that one host writes to and another has attached for reading; the first object is there. */
async function readerAndWriter(t: TestContext, { isHyper = false } = {}) {
  const { lamb, cluster } = await lambCluster(t)
  const distant = new Cluster({ world: realWorld, addresses: cluster.homePeer ? [cluster.homePeer] : [], log })
  t.after(() => {
    distant.close()
  })
  await distant.open()
  await createVdi(cluster, { name: 'v', size: 1024 * MiB, isHyper })
  const writer = await openVolume(cluster, { name }, { log })
  await writer.write(0, Buffer.from('first'))
  const reader = await openVolume(distant, { name }, { log, readOnly: true })
  const readAt = async (position: number): Promise<string> => {
    const into = Buffer.alloc(5)
    await reader.read(position, into)
    return into.toString('latin1')
  }
  /** Reads until it is there; the reader itself never looks by the clock in these tests. */
  const until = async (position: number, text: string): Promise<void> => {
    while ((await readAt(position)) !== text) await pause(50)
  }
  return { lamb, cluster, writer, until }
}

const ZEROS = '\0'.repeat(5)

for (const isHyper of [false, true]) {
  const kind = isHyper ? 'a hyper volume' : 'a VDI'
  test(`attached for reading, ${kind} shows what another host writes first after the attach`, limit, async (t) => {
    const { writer, until } = await readerAndWriter(t, { isHyper })
    await until(OBJECT, ZEROS)
    await writer.write(OBJECT, Buffer.from('fresh'))
    await until(OBJECT, 'fresh')
  })

  test(`attached for reading, what another host has given back of ${kind} is zeros and no error`, limit, async (t) => {
    const { writer, until } = await readerAndWriter(t, { isHyper })
    await until(0, 'first')
    await writer.zero(0, OBJECT)
    await until(0, ZEROS)
    await writer.write(0, Buffer.from('again'))
    await until(0, 'again')
  })
}

test('attached for reading, a VDI shows what is written after a snapshot in place of what it had', limit, async (t) => {
  const { cluster, writer, until } = await readerAndWriter(t)
  await snapshotVdi(cluster, name, 'a')
  await writer.write(OBJECT, Buffer.from('fresh'))
  await until(OBJECT, 'fresh')
  await writer.write(0, Buffer.from('newer'))
  await until(0, 'newer')
})

test('attached for reading, holes cost one look for all who read them', limit, async (t) => {
  const { lamb, until } = await readerAndWriter(t)
  let looks = 0
  lamb.faults.before = (request) => {
    if (request.opcode === Opcode.READ_OBJ) looks++
    return Promise.resolve(undefined)
  }
  const since = Date.now()
  await Promise.all(Array.from({ length: 100 }, (_, i) => until((i + 1) * OBJECT, ZEROS)))
  const most = 2 * (1 + Math.ceil((Date.now() - since) / 1000)) // each reads the head, and a page of entries
  assert.ok(looks <= most, `${looks} requests, at most ${most} expected`)
})
