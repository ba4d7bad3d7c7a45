import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SheepfsError, type ErrorCode } from '../../../src/errors.ts'
import { FileStore } from '../../../src/lamb/file-store.ts'
import { silentLogger } from '../../../src/log.ts'
import { createVdi } from '../../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../../src/volume/manage/delete-vdi.ts'
import { findVdi } from '../../../src/volume/manage/find-vdi.ts'
import { resizeVdi } from '../../../src/volume/manage/resize-vdi.ts'
import { rollbackVdi } from '../../../src/volume/manage/rollback-vdi.ts'
import { cloneVdi, snapshotVdi } from '../../../src/volume/manage/snapshot-vdi.ts'
import { openVolume } from '../../../src/volume/open-volume.ts'
import { acquireVdiLock } from '../../../src/volume/vdi-lock.ts'
import { Opcode } from '../../../src/wire/sd-proto.ts'
import { lambCluster, readText, writeText } from './lamb-cluster.ts'

const limit = { timeout: 60_000 }
const MiB = 2 ** 20
const GiB = 2 ** 30
const TiB = 2 ** 40
const name = Buffer.from('v')
const spec = { name }
const quiet = (): void => undefined

function refused(code: ErrorCode, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SheepfsError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(error.message, text)
    return true
  }
}

test('a VDI is made with the size, copies and objects that were asked for', limit, async (t) => {
  const { cluster } = await lambCluster(t, { zones: 3 })
  const plain = await createVdi(cluster, { name: 'plain', size: GiB + 1 })
  assert.deepEqual([plain.vdiSize, plain.blockSizeShift, plain.storePolicy], [GiB + 1, 22, 0])
  const odd = await createVdi(cluster, {
    name: 'odd ä/',
    size: GiB,
    blockSizeShift: 20,
    redundancy: { kind: 'copies', copies: 3 },
  })
  assert.deepEqual([odd.nrCopies, odd.blockSizeShift, odd.copyPolicy], [3, 20, 0])
  const hyper = await createVdi(cluster, { name: 'hyper', size: 16 * TiB, isHyper: true })
  assert.deepEqual([hyper.vdiSize, hyper.storePolicy], [16 * TiB, 1])
})

test('what sheep would take and never serve rightly is refused before it is sent', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  const create = (options: Partial<Parameters<typeof createVdi>[1]>) =>
    createVdi(cluster, { name: 'v', size: GiB, ...options })
  await create({})
  const cases: [Parameters<typeof create>[0], ErrorCode, RegExp][] = [
    [{}, 'exists', /VDI "v": the name is taken/],
    [{ name: '' }, 'invalid', /name of a VDI is empty/],
    [{ name: 'a\0b' }, 'invalid', /NUL/],
    [{ name: 'ä'.repeat(128) }, 'name-too-long', /256 bytes: expected 1 to 255/],
    [{ name: 'w', size: 0 }, 'invalid', /0 is not a size/],
    [{ name: 'w', size: 4 * TiB + 1 }, 'too-large', /4 TiB; make a hyper volume/],
    [{ name: 'w', size: 2 * TiB, blockSizeShift: 20 }, 'too-large', /more than its index addresses, 1 TiB/],
    [{ name: 'w', blockSizeShift: 12 }, 'invalid', /shift 12: expected 20 to 31/],
    [{ name: 'w', blockSizeShift: 40 }, 'invalid', /shift 40/],
    [{ name: 'w', blockSizeShift: 20, isHyper: true }, 'invalid', /hyper volumes have objects of 4 MiB only/],
    [{ name: 'w', redundancy: { kind: 'copies', copies: 200 } }, 'invalid', /200 copies/],
    [{ name: 'w', redundancy: { kind: 'strips', data: 4, parity: 0 } }, 'invalid', /strips 4:0/],
    [{ name: 'w', redundancy: { kind: 'strips', data: 3, parity: 1 } }, 'invalid', /strips 3:1/],
    [{ name: 'w', redundancy: { kind: 'strips', data: 4, parity: 2 } }, 'invalid', /need 6 zones: the cluster has 1/],
  ]
  for (const [options, code, text] of cases) await assert.rejects(create(options), refused(code, text))
  assert.equal(await findVdi(cluster, { name: Buffer.from('w') }), undefined)
})

test('no snapshot is begun that a full node would end half-way, without a working VDI', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  const space = t.mock.method(FileStore.prototype, 'space', () => ({ used: GiB, free: 20 * MiB }))
  await assert.rejects(
    snapshotVdi(cluster, name, 'full'),
    refused('no-space', /snapshot VDI "v@full": the cluster is full/),
  )
  assert.equal((await findVdi(cluster, spec))?.isSnapshot, false)
  space.mock.restore()
  await snapshotVdi(cluster, name, 'full')
})

test('a VDI that a failed snapshot has left read-only takes writes after the next one', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'before')
  const volume = await openVolume(cluster, spec, { log: silentLogger() })
  const full = t.mock.method(FileStore.prototype, 'replaceAll', () => {
    throw new Error('no room')
  })
  await assert.rejects(snapshotVdi(cluster, name, 'failed'))
  full.mock.restore()
  await assert.rejects(volume.write(0, Buffer.from('after')), refused('read-only', /take a snapshot of it/))
  await snapshotVdi(cluster, name, 'next')
  await volume.write(0, Buffer.from('after!'))
  await volume.close()
  assert.equal(await readText(cluster, spec, 0, 6), 'after!')
  assert.equal(await readText(cluster, { name, tag: Buffer.from('next') }, 0, 6), 'before')
})

test('a snapshot keeps its data and has its tag, and the VDI goes on', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'old')
  const snapshot = await snapshotVdi(cluster, name, 'nightly')
  assert.deepEqual([snapshot.isSnapshot, Buffer.from(snapshot.tag).toString(), snapshot.snapId], [true, 'nightly', 1])
  await writeText(cluster, 'v', 0, 'new')
  const tag = Buffer.from('nightly')
  assert.equal(await readText(cluster, { name, tag }, 0, 3), 'old')
  assert.equal(await readText(cluster, spec, 0, 3), 'new')
  await assert.rejects(
    snapshotVdi(cluster, name, 'nightly'),
    refused('exists', /snapshot VDI "v@nightly": the tag is taken/),
  )
  await assert.rejects(snapshotVdi(cluster, name, ''), refused('invalid', /tag of a VDI is empty/))
  await assert.rejects(snapshotVdi(cluster, Buffer.from('w'), 'a'), refused('not-found', /VDI "w"/))
  const clone = await cloneVdi(cluster, [{ name, tag }], 'copy')
  assert.deepEqual([clone.isSnapshot, clone.parentVdiId, clone.vdiSize], [false, snapshot.vdiId, GiB])
  assert.equal(await readText(cluster, { name: Buffer.from('copy') }, 0, 3), 'old')
  await assert.rejects(cloneVdi(cluster, [{ name, tag }], 'copy'), refused('exists', /the name is taken/))
  await assert.rejects(cloneVdi(cluster, [spec], 'other'), refused('invalid', /that is no snapshot/))
})

test('hyper volumes have no snapshots, and are deleted without touching their tree', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: 8 * TiB, isHyper: true })
  await writeText(cluster, 'v', 5 * TiB, 'far')
  await assert.rejects(snapshotVdi(cluster, name, 'a'), refused('not-supported', /hyper volumes have no snapshots/))
  await deleteVdi(cluster, [spec], () => assert.fail('nothing to clear'))
  assert.equal(await findVdi(cluster, spec), undefined)
})

test('a VDI grows and does not shrink', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  assert.equal((await resizeVdi(cluster, [spec], 2 * GiB)).vdiSize, 2 * GiB)
  assert.equal((await resizeVdi(cluster, [spec], 2 * GiB)).vdiSize, 2 * GiB)
  await assert.rejects(resizeVdi(cluster, [spec], GiB), refused('not-permitted', /it can grow, not shrink/))
  await assert.rejects(resizeVdi(cluster, [spec], 5 * TiB), refused('too-large', /4 TiB/))
  const { snapId } = await snapshotVdi(cluster, name, 'a')
  await assert.rejects(resizeVdi(cluster, [{ name, snapId }], 4 * GiB), refused('read-only', /"v@a" is a snapshot/))
})

test('a VDI is deleted with its objects, and tells its progress', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  for (const index of [0, 1, 5, 255]) await writeText(cluster, 'v', index * 4 * MiB, 'data')
  const steps: string[] = []
  await deleteVdi(cluster, [spec], (done, total) => steps.push(`${done}/${total}`))
  assert.deepEqual([steps[0], steps.at(-1)], ['0/4', '4/4'])
  assert.equal(await findVdi(cluster, spec), undefined)
  await assert.rejects(deleteVdi(cluster, [spec], quiet), refused('not-found', /VDI "v"/))
  await createVdi(cluster, { name: 'v', size: GiB })
})

test('deleting a snapshot leaves what the working VDI shares with it', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'shared')
  await writeText(cluster, 'v', 4 * MiB, 'old')
  await snapshotVdi(cluster, name, 'a')
  await writeText(cluster, 'v', 4 * MiB, 'new')
  const tag = Buffer.from('a')
  await deleteVdi(cluster, [{ name, tag }], quiet)
  assert.equal(await findVdi(cluster, { name, tag }), undefined)
  assert.equal(await readText(cluster, spec, 0, 6), 'shared')
  assert.equal(await readText(cluster, spec, 4 * MiB, 3), 'new')
})

test('a VDI that another client has locked is not deleted', limit, async (t) => {
  const { cluster } = await lambCluster(t, { format: { flags: 0x08 } })
  assert.equal(cluster.hasLocking, true)
  await createVdi(cluster, { name: 'v', size: GiB })
  await acquireVdiLock(cluster, spec)
  await assert.rejects(deleteVdi(cluster, [spec], quiet), refused('locked', /VDI "v" is locked/))
  assert.notEqual(await findVdi(cluster, spec), undefined)
})

test('an answer that is lost is looked for, and nothing is done twice', limit, async (t) => {
  const { cluster, lamb } = await lambCluster(t)
  for (const opcode of [Opcode.NEW_VDI, Opcode.DEL_VDI]) lamb.faults.addRule({ action: 'drop-after', opcode, count: 1 })
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'data')
  lamb.faults.addRule({ action: 'drop-after', opcode: Opcode.NEW_VDI, count: 1 })
  const snapshot = await snapshotVdi(cluster, name, 'a')
  assert.equal(snapshot.snapId, 1)
  assert.equal((await findVdi(cluster, spec))?.snapId, 2)
  lamb.faults.addRule({ action: 'drop-before', opcode: Opcode.NEW_VDI, count: 1 })
  await cloneVdi(cluster, [{ name, snapId: 1 }], 'copy')
  lamb.faults.addRule({ action: 'drop-after', opcode: Opcode.WRITE_OBJ, kind: 'inode', count: 1 })
  await deleteVdi(cluster, [{ name, snapId: 1 }], quiet)
  assert.equal(await readText(cluster, spec, 0, 4), 'data')
  assert.equal(await readText(cluster, { name: Buffer.from('copy') }, 0, 4), 'data')
  assert.equal(await findVdi(cluster, { name, snapId: 1 }), undefined)
})

test('a rollback has the content of the snapshot, and keeps what there was', limit, async (t) => {
  const { cluster, lamb } = await lambCluster(t, { format: { flags: 0x08 } })
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'old')
  const base = await snapshotVdi(cluster, name, 'a')
  await writeText(cluster, 'v', 0, 'new')
  await resizeVdi(cluster, [spec], 2 * GiB)
  const byTag = [{ name, tag: Buffer.from('a') }]
  for (const action of ['drop-after', 'drop-before'] as const) {
    lamb.faults.addRule({ action, opcode: Opcode.NEW_VDI, count: 1 })
    const { working, kept } = await rollbackVdi(cluster, byTag)
    assert.deepEqual([working.parentVdiId, working.vdiSize, kept?.isSnapshot], [base.vdiId, GiB, true])
    assert.equal(await readText(cluster, spec, 0, 3), 'old')
    assert.equal(await readText(cluster, { name, snapId: 2 }, 0, 3), 'new')
    await writeText(cluster, 'v', 0, 'two')
  }
  await deleteVdi(cluster, [{ name, snapId: 2 }], quiet)
  assert.equal(await readText(cluster, byTag[0] ?? spec, 0, 3), 'old')
  await assert.rejects(rollbackVdi(cluster, [spec]), refused('invalid', /VDI "v": that is no snapshot/))
  await assert.rejects(rollbackVdi(cluster, [{ name, snapId: 9 }]), refused('not-found', /VDI "v@9"/))
  await acquireVdiLock(cluster, spec)
  await assert.rejects(rollbackVdi(cluster, byTag), refused('locked', /VDI "v" is locked/))
  assert.equal(await readText(cluster, spec, 0, 3), 'two')
})

test('a VDI that a rollback by deletion has left without a working VDI is made of its snapshot', limit, async (t) => {
  const { cluster } = await lambCluster(t)
  await createVdi(cluster, { name: 'v', size: GiB })
  await writeText(cluster, 'v', 0, 'old')
  await snapshotVdi(cluster, name, 'a')
  await deleteVdi(cluster, [spec], quiet)
  const { working, kept } = await rollbackVdi(cluster, [{ name, snapId: 1 }])
  assert.deepEqual([working.isSnapshot, kept], [false, undefined])
  assert.equal(await readText(cluster, spec, 0, 3), 'old')
})
