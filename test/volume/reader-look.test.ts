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
async function readerAndWriter(t: TestContext, { isHyper = false, size = 1024 * MiB } = {}) {
  const { lamb, cluster } = await lambCluster(t)
  const distant = new Cluster({ world: realWorld, addresses: cluster.homePeer ? [cluster.homePeer] : [], log })
  t.after(() => {
    distant.close()
  })
  await distant.open()
  await createVdi(cluster, { name: 'v', size, isHyper })
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
  return { lamb, cluster, writer, reader, readAt, until }
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

for (const isHyper of [false, true]) {
  const kind = isHyper ? 'a hyper volume' : 'a VDI'
  test(
    `attached for reading, ${kind} that is opened again is read where it is used, and as it is now`,
    limit,
    async (t) => {
      const { lamb, writer, reader, readAt } = await readerAndWriter(t, { isHyper, size: 2 ** 42 })
      let bytes = 0
      lamb.faults.before = (request) => {
        if (request.opcode === Opcode.READ_OBJ) bytes += request.dataLength
        return Promise.resolve(undefined)
      }
      const far = 500_000 * OBJECT
      assert.equal(await readAt(far), ZEROS) // looked at just now
      await writer.write(far, Buffer.from('fresh'))
      const before = bytes
      await reader.refresh()
      assert.ok(bytes - before < 4096, `${bytes - before} bytes were read`)
      assert.equal(await readAt(far), 'fresh')
    },
  )
}

test('attached for reading, what another host has written is found by who looks for data', limit, async (t) => {
  const { lamb, writer, reader } = await readerAndWriter(t, { size: 2 ** 42 })
  await assert.rejects(reader.seek(OBJECT, 'data'), { code: 'past-end' })
  const far = 500_000 * OBJECT
  await writer.write(far, Buffer.from('fresh'))
  await writer.zero(0, OBJECT)
  await reader.refresh()
  let looks = 0
  lamb.faults.before = (request) => {
    if (request.opcode === Opcode.READ_OBJ) looks++
    return Promise.resolve(undefined)
  }
  assert.equal(await reader.seek(0, 'data'), far)
  assert.equal(await reader.seek(far, 'hole'), far + OBJECT)
  assert.equal(await reader.seek(1000 * OBJECT, 'data'), far)
  assert.ok(looks <= 2 * 16, `${looks} requests`) // each look is two
})

test('attached for reading, a look that began before the VDI was opened again does not count', limit, async (t) => {
  const { writer, reader, readAt } = await readerAndWriter(t)
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  let isRead = (): void => undefined
  const reading = new Promise<void>((resolve) => (isRead = resolve))
  const read = Object.getOwnPropertyDescriptor(Cluster.prototype, 'read')?.value as Cluster['read']
  const { mock } = t.mock.method(
    Cluster.prototype,
    'read',
    async function (this: Cluster, ...args: Parameters<typeof read>) {
      const response = await read.apply(this, args)
      if (args[0].wanted !== 1024) return response
      mock.restore()
      isRead()
      await held
      return response
    },
  )
  const slow = readAt(OBJECT)
  await reading // the page of entries, as it was
  await writer.write(OBJECT, Buffer.from('fresh'))
  await reader.refresh()
  const opened = readAt(OBJECT)
  release()
  assert.equal(await opened, 'fresh')
  assert.ok(['fresh', ZEROS].includes(await slow))
})
