import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { ServerOpcode } from '../../src/lamb/server-opcode.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume, type OpenVolumeOptions } from '../../src/volume/open-volume.ts'
import type { Volume } from '../../src/volume/volume.ts'
import { ClusterFlag } from '../../src/wire/info-ops.ts'
import { newMessage } from '../../src/wire/message.ts'
import { scratchDirectory } from '../lamb/scratch.ts'
import { FAST } from '../sheep/staged-cluster.ts'
import { until } from '../sheep/until.ts'

const LIMIT = { timeout: 20_000 }
const SPEC = { name: Buffer.from('vdi') }
const STALE = { code: 'stale' }
const OBJECT_SIZE = 1 << 22

/** Two clusters, each with a VDI of the same name and so of the same vid, and a client of the first that has it attached. */
async function twoClusters(t: TestContext) {
  const start = async (port = 0): Promise<{ lamb: Lamb; port: number }> => {
    const vdis = [{ name: 'vdi', size: 2 * OBJECT_SIZE }]
    const lamb = new Lamb({ store: await scratchDirectory(t), port, format: { flags: ClusterFlag.LOCKING }, vdis })
    const opened = await lamb.open()
    t.after(() => lamb.close())
    return { lamb, port: opened.port }
  }
  const open = async (port: number): Promise<Cluster> => {
    const addresses = [{ host: '127.0.0.1', port }]
    const cluster = new Cluster({ world: realWorld, addresses, log: silentLogger(), timing: FAST })
    t.after(() => {
      cluster.close()
    })
    await cluster.open()
    return cluster
  }
  const first = await start()
  const cluster = await open(first.port)
  const volume = await attach(cluster)
  await volume.write(0, Buffer.from('first'))
  return { start, open, first, cluster, volume }
}

function attach(cluster: Cluster, options: Partial<OpenVolumeOptions> = {}): Promise<Volume> {
  return openVolume(cluster, SPEC, { log: silentLogger(), ...options })
}

async function textOf(volume: Volume): Promise<string> {
  const bytes = new Uint8Array(6)
  await volume.read(0, bytes)
  return Buffer.from(bytes).toString()
}

/** Nothing of the volume reaches the cluster that there is now, and a new attach does. */
async function assertApart(volume: Volume, cluster: Cluster): Promise<void> {
  await assert.rejects(volume.write(0, Buffer.from('wrong!')), STALE)
  await assert.rejects(volume.write(OBJECT_SIZE, Buffer.from('wrong!')), STALE)
  await assert.rejects(textOf(volume), STALE)
  await assert.rejects(volume.sync(), STALE)
  await volume.close()
  const anew = await attach(cluster)
  assert.equal(await textOf(anew), '\0'.repeat(6))
  await anew.write(0, Buffer.from('second'))
  assert.equal(await textOf(anew), 'second')
  await anew.close()
}

test('a volume stays in its cluster when the addresses lead to another one', LIMIT, async (t) => {
  const { start, first, cluster, volume } = await twoClusters(t)
  const { port } = await start()
  await cluster.setAddresses([{ host: '127.0.0.1', port }])
  await assertApart(volume, cluster)
  await cluster.setAddresses([{ host: '127.0.0.1', port: first.port }])
  await until(async () => (await cluster.lockStates()).size === 0) // its lock there was given back
  const back = await attach(cluster)
  assert.equal(await textOf(back), 'first\0')
  await back.close()
})

test('a volume stays in its cluster when another one answers at the address', LIMIT, async (t) => {
  const { start, first, cluster, volume } = await twoClusters(t)
  await first.lamb.close()
  await start(first.port)
  await assertApart(volume, cluster)
})

test('a request that waits while another cluster takes the address fails', LIMIT, async (t) => {
  const { start, first, cluster, volume } = await twoClusters(t)
  await first.lamb.close()
  const writes = [0, OBJECT_SIZE].map((at) => volume.write(at, Buffer.from('wrong!')))
  const failures = Promise.all(writes.map((write) => assert.rejects(write, STALE)))
  await start(first.port)
  await failures
  await assertApart(volume, cluster)
})

test(
  'what waits while the addresses come to lead to another cluster fails, and reads nothing of it',
  LIMIT,
  async (t) => {
    const { start, open, first, cluster, volume } = await twoClusters(t)
    const { port } = await start()
    const other = await open(port)
    const theirs = await attach(other)
    await theirs.write(0, Buffer.from('second'))
    await theirs.close()
    await first.lamb.close()
    const waiting = [textOf(volume), textOf(volume), volume.write(0, Buffer.from('wrong!')), volume.sync()]
    const failures = Promise.all(waiting.map((one) => assert.rejects(one, STALE)))
    await cluster.setAddresses([{ host: '127.0.0.1', port }])
    await failures
    const unharmed = await attach(other)
    assert.equal(await textOf(unharmed), 'second')
    await unharmed.close()
  },
)

test('a volume of a cluster that is formatted underneath fails', LIMIT, async (t) => {
  const { cluster, volume } = await twoClusters(t)
  const request = newMessage(ServerOpcode.MAKE_FS, { payload: Buffer.from('plain\0') })
  await cluster.query(request)
  await assert.rejects(async () => {
    for (;;) await volume.write(OBJECT_SIZE, Buffer.from('wrong!'))
  }, STALE)
  await createVdi(cluster, { name: 'vdi', size: 2 * OBJECT_SIZE })
  await assertApart(volume, cluster)
})

test(
  'a successor does not take a VDI of that name in another cluster, or made anew, for the one that was attached',
  LIMIT,
  async (t) => {
    const { start, open, first, cluster, volume } = await twoClusters(t)
    const former = volume.identity
    const other = await open((await start()).port)
    await assert.rejects(attach(other, { former }), STALE)
    await (await attach(other)).close()
    await volume.close()
    await (await attach(cluster, { former })).close()
    await deleteVdi(cluster, [SPEC], () => undefined)
    await createVdi(cluster, { name: 'vdi', size: 2 * OBJECT_SIZE })
    await assert.rejects(attach(await open(first.port), { former }), STALE)
  },
)
