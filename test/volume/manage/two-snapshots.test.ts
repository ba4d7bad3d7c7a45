import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSheepfsError } from '../../../src/errors.ts'
import type { Lamb } from '../../../src/lamb/server.ts'
import type { Cluster } from '../../../src/sheep/cluster.ts'
import { expectSuccess } from '../../../src/sheep/result-error.ts'
import { createVdi } from '../../../src/volume/manage/create-vdi.ts'
import { findVdi, requireVdi } from '../../../src/volume/manage/find-vdi.ts'
import { deleteVdi } from '../../../src/volume/manage/delete-vdi.ts'
import { resizeVdi } from '../../../src/volume/manage/resize-vdi.ts'
import { cloneVdi, snapshotVdi } from '../../../src/volume/manage/snapshot-vdi.ts'
import { TAG_OFFSET } from '../../../src/wire/inode.ts'
import { inodeOid } from '../../../src/wire/object-id.ts'
import { writeIndex, writeObject } from '../../../src/wire/object-ops.ts'
import { Opcode } from '../../../src/wire/sd-proto.ts'
import { newVdi } from '../../../src/wire/vdi-ops.ts'
import { lambCluster, readText, writeText } from './lamb-cluster.ts'

const limit = { timeout: 60_000 }
const GiB = 2 ** 30
const name = Buffer.from('v')
const spec = { name }

/** The steps of `dog vdi snapshot`, and what the application that was waiting for it writes then. */
class OtherClient {
  readonly cluster: Cluster

  constructor(cluster: Cluster) {
    this.cluster = cluster
  }

  async writeTag(vid: number, tag: string): Promise<void> {
    const field = Buffer.alloc(256)
    field.write(tag)
    expectSuccess(await this.cluster.change(writeObject(inodeOid(vid), TAG_OFFSET, field)), 'tag')
  }

  async makeSnapshot(tag: string): Promise<void> {
    const { vdiId, vdiSize, nrCopies, blockSizeShift } = await requireVdi(this.cluster, [spec])
    await this.writeTag(vdiId, tag)
    const message = newVdi({ name, isSnapshot: true, baseVid: vdiId, size: vdiSize, copies: nrCopies, blockSizeShift })
    expectSuccess(await this.cluster.change(message), 'snapshot')
    await writeText(this.cluster, 'v', 0, 'new')
  }
}

/** Does `work` once, before the next request of this kind is executed. */
function before(lamb: Lamb, opcode: number, work: () => Promise<void>): void {
  lamb.faults.before = async (request) => {
    if (request.opcode !== opcode) return undefined
    lamb.faults.before = undefined
    await work()
    return undefined
  }
}

async function vdiBesideOther(t: Parameters<typeof lambCluster>[0]) {
  const { lamb, cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'old')
  return { lamb, cluster, other: new OtherClient(cluster) }
}

const tagged = (tag: string) => ({ name, tag: Buffer.from(tag) })

test('a snapshot that another client takes during the space check is no base any more', limit, async (t) => {
  const { lamb, cluster, other } = await vdiBesideOther(t)
  before(lamb, Opcode.STAT_SHEEP, () => other.makeSnapshot('theirs'))
  const ours = await snapshotVdi(cluster, name, 'ours')
  assert.equal(ours.snapId, 2)
  assert.equal(await readText(cluster, tagged('theirs'), 0, 3), 'old')
  assert.equal(await readText(cluster, tagged('ours'), 0, 3), 'new')
  assert.equal(await readText(cluster, spec, 0, 3), 'new')
})

test('another client that has written its tag has its snapshot first', limit, async (t) => {
  const { cluster, other } = await vdiBesideOther(t)
  const { vdiId } = await requireVdi(cluster, [spec])
  await other.writeTag(vdiId, 'theirs')
  const [ours] = await Promise.all([snapshotVdi(cluster, name, 'ours'), other.makeSnapshot('theirs')])
  assert.equal(ours.snapId, 2)
  assert.equal(await readText(cluster, tagged('theirs'), 0, 3), 'old')
})

test('a tag that an attempt of another client has left holds nothing up for long', limit, async (t) => {
  const { cluster, other } = await vdiBesideOther(t)
  const { vdiId } = await requireVdi(cluster, [spec])
  await other.writeTag(vdiId, 'left')
  assert.equal((await snapshotVdi(cluster, name, 'ours')).vdiId, vdiId)
})

test('a tag that another client writes in place of ours is not taken for ours', limit, async (t) => {
  const { lamb, cluster, other } = await vdiBesideOther(t)
  const { vdiId } = await requireVdi(cluster, [spec])
  before(lamb, Opcode.NEW_VDI, () => other.writeTag(vdiId, 'theirs'))
  const ours = await snapshotVdi(cluster, name, 'ours')
  assert.notEqual(ours.vdiId, vdiId)
  assert.deepEqual(await findVdi(cluster, tagged('ours')), ours)
  assert.equal((await findVdi(cluster, tagged('theirs')))?.vdiId, vdiId)
})

test(
  'a VDI that went back to what it was is never a success, and the error names who has the rest',
  limit,
  async (t) => {
    const { lamb, cluster, other } = await vdiBesideOther(t)
    before(lamb, Opcode.NEW_VDI, () => other.makeSnapshot('theirs'))
    await assert.rejects(snapshotVdi(cluster, name, 'ours'), (error: unknown) => {
      assert.ok(isSheepfsError(error, 'stale'), String(error))
      assert.match(error.message, /in the snapshot VDI "v@2".*"sheepfsctl vdi rollback v@2"/)
      return true
    })
    assert.equal(await readText(cluster, spec, 0, 3), 'old')
    assert.equal(await readText(cluster, { name, snapId: 2 }, 0, 3), 'new')
  },
)

test('when another client takes the VDI back right after our snapshot, that is said too', limit, async (t) => {
  const { lamb, cluster } = await vdiBesideOther(t)
  const { vdiId, vdiSize, nrCopies, blockSizeShift } = await requireVdi(cluster, [spec])
  let late: Promise<unknown> | undefined
  before(lamb, Opcode.NEW_VDI, () => {
    // the cluster executes one after the other: this one comes right after ours
    setImmediate(() => {
      const message = newVdi({
        name,
        isSnapshot: true,
        baseVid: vdiId,
        size: vdiSize,
        copies: nrCopies,
        blockSizeShift,
      })
      late = cluster.change(message)
    })
    return Promise.resolve()
  })
  await assert.rejects(snapshotVdi(cluster, name, 'ours'), /in the snapshot VDI "v@2"/)
  await late
})

test('a VDI that grows while a snapshot of it is taken keeps its size', limit, async (t) => {
  const { lamb, cluster } = await vdiBesideOther(t)
  before(lamb, Opcode.NEW_VDI, async () => {
    await resizeVdi(cluster, [spec], 2 * GiB)
  })
  await snapshotVdi(cluster, name, 'ours')
  assert.equal((await requireVdi(cluster, [spec])).vdiSize, 2 * GiB)
})

test('a clone of what is being deleted meanwhile is no success', limit, async (t) => {
  const { lamb, cluster } = await vdiBesideOther(t)
  const { vdiId, snapId } = await snapshotVdi(cluster, name, 'ours')
  before(lamb, Opcode.NEW_VDI, async () => {
    expectSuccess(await cluster.change(writeIndex(vdiId, 0, [0])), 'deletion')
  })
  await assert.rejects(cloneVdi(cluster, [{ name, snapId }], 'copy'), /VDI "copy".*parts are missing: delete it/)
})

test('a deletion does not go on in what has become the snapshot of another client', limit, async (t) => {
  const { lamb, cluster, other } = await vdiBesideOther(t)
  // at the look before the first entry is cleared
  before(lamb, Opcode.WRITE_OBJ, () => other.makeSnapshot('theirs'))
  await assert.rejects(
    deleteVdi(cluster, [spec], () => undefined),
    (error) => isSheepfsError(error, 'stale'),
  )
  assert.equal(await readText(cluster, tagged('theirs'), 0, 3), 'old')
  assert.equal(await readText(cluster, spec, 0, 3), 'new')
})
