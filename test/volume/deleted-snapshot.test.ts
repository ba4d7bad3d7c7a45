import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../src/log.ts'
import type { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { lambCluster } from './manage/lamb-cluster.ts'

const LIMIT = { timeout: 60_000 }
const OBJECT_SIZE = 2 ** 22
const SPEC = { name: Buffer.from('v') }
const log = silentLogger()

/** A snapshot that is taken and deleted before anybody looks. */
async function passingSnapshot(cluster: Cluster): Promise<void> {
  await snapshotVdi(cluster, SPEC.name, 'nightly')
  await deleteVdi(cluster, [{ ...SPEC, tag: Buffer.from('nightly') }], () => undefined)
}

async function startOf(cluster: Cluster, length: number): Promise<string> {
  const volume = await openVolume(cluster, SPEC, { log, readOnly: true })
  const into = Buffer.alloc(length)
  await volume.read(0, into)
  await volume.close()
  return into.toString()
}

test('an idle volume outlives a snapshot that was taken and deleted', LIMIT, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: 8 * OBJECT_SIZE })
  const volume = await openVolume(cluster, SPEC, { log })
  await volume.write(0, Buffer.from('before'))
  await volume.sync()
  const { vid } = volume
  await passingSnapshot(cluster)
  assert.equal(await volume.refresh(), false)
  assert.notEqual(volume.vid, vid)
  assert.equal(await startOf(cluster, 6), 'before')
  await passingSnapshot(cluster)
  await volume.write(0, Buffer.from('af'))
  await volume.write(3 * OBJECT_SIZE, Buffer.from('new'))
  await volume.close()
  assert.equal(await startOf(cluster, 6), 'affore')
})

test('a successor takes over what had such a snapshot meanwhile', LIMIT, async (t) => {
  const { cluster } = await lambCluster(t)
  const { vdiId: vid, createdAt } = await createVdi(cluster, { name: 'v', size: 8 * OBJECT_SIZE })
  await passingSnapshot(cluster)
  const volume = await openVolume(cluster, SPEC, { log, former: { vid, createdAt } })
  assert.notEqual(volume.vid, vid)
  await volume.close()
})

test('a VDI that was deleted after such a snapshot is gone', LIMIT, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: 8 * OBJECT_SIZE })
  const volume = await openVolume(cluster, SPEC, { log })
  await passingSnapshot(cluster)
  await deleteVdi(cluster, [SPEC], () => undefined)
  await assert.rejects(volume.refresh(), { code: 'stale' })
  await volume.close()
})
