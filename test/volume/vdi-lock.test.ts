import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { ClusterFlag } from '../../src/wire/info-ops.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { scratchDirectory } from '../lamb/scratch.ts'
import { FAST } from '../sheep/staged-cluster.ts'

const LIMIT = { timeout: 20_000 }
const SPEC = { name: Buffer.from('vdi') }

/** A cluster with locks, whose only sheep is known as 127.0.0.1 and listens on every interface. */
async function locking(t: TestContext) {
  const lamb = new Lamb({
    store: await scratchDirectory(t),
    host: '0.0.0.0',
    port: 0,
    format: { flags: ClusterFlag.LOCKING },
    vdis: [{ name: 'vdi', size: 1 << 22 }],
  })
  const { port } = await lamb.open()
  const clients: Cluster[] = []
  t.after(async () => {
    for (const client of clients) client.close()
    await lamb.close()
  })
  const open = async (host: string): Promise<Cluster> => {
    const cluster = new Cluster({ world: realWorld, addresses: [{ host, port }], log: silentLogger(), timing: FAST })
    clients.push(cluster)
    await cluster.open()
    return cluster
  }
  return { lamb, open, owner: `127.0.0.1:${port}` }
}

for (const host of ['localhost', '127.0.0.1', '127.0.0.2']) {
  test(`a lock taken by way of ${host} is given back when the volume is closed`, LIMIT, async (t) => {
    const { open, owner } = await locking(t)
    const volume = await openVolume(await open(host), SPEC, { log: silentLogger() })
    assert.equal(volume.lockOwner, owner)
    await volume.close()
    await (await openVolume(await open(host), SPEC, { log: silentLogger() })).close()
  })

  test(`a successor that reaches the sheep as ${host} has the lock of its predecessor`, LIMIT, async (t) => {
    const { open } = await locking(t)
    const dead = await open(host)
    const { lockOwner } = await openVolume(dead, SPEC, { log: silentLogger() })
    dead.close()
    const next = await open(host)
    await assert.rejects(openVolume(next, SPEC, { log: silentLogger() }), { code: 'locked' })
    const volume = await openVolume(next, SPEC, { log: silentLogger(), ownOwners: lockOwner ? [lockOwner] : [] })
    assert.equal(volume.lockOwner, lockOwner)
    await volume.close()
    await (await openVolume(next, SPEC, { log: silentLogger() })).close()
  })
}

test('a volume that was closed before it came to its next inode leaves no lock', LIMIT, async (t) => {
  const { lamb, open } = await locking(t)
  const volume = await openVolume(await open('127.0.0.1'), SPEC, { log: silentLogger() })
  const other = await open('127.0.0.1')
  await volume.write(0, Buffer.from('before'))
  await snapshotVdi(other, SPEC.name, 'tag')
  lamb.faults.addRule({ opcode: Opcode.READ_OBJ, kind: 'inode', action: { result: Result.EIO } })
  await assert.rejects(volume.write(0, Buffer.from('after')), { code: 'io' })
  await assert.rejects(volume.close(), { code: 'io' })
  lamb.faults.clearRules()
  await (await openVolume(other, SPEC, { log: silentLogger() })).close()
})

test('a lock whose answer was lost is taken for our own where the sheep is known by a name', LIMIT, async (t) => {
  const { lamb, open } = await locking(t)
  const cluster = await open('localhost')
  lamb.faults.addRule({ opcode: Opcode.LOCK_VDI, action: 'drop-after', count: 1 })
  await (await openVolume(cluster, SPEC, { log: silentLogger() })).close()
  await (await openVolume(cluster, SPEC, { log: silentLogger() })).close()
})
