import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSheepfsError, SheepfsError } from '../../src/errors.ts'
import { listVdis } from '../../src/sheep/vdi-list.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { BTREE_ROOT_OFFSET } from '../../src/wire/btree.ts'
import { inodeOid, vidOf } from '../../src/wire/object-id.ts'
import { writeObject } from '../../src/wire/object-ops.ts'
import { Opcode, Req, Result } from '../../src/wire/sd-proto.ts'
import { lambCluster } from '../volume/manage/lamb-cluster.ts'

test('a hyper volume whose tree is damaged is an error that says which', { timeout: 60_000 }, async (t) => {
  const { cluster } = await lambCluster(t)
  const { vdiId } = await createVdi(cluster, { name: 'v', size: 2 ** 43, isHyper: true })
  await cluster.change(writeObject(inodeOid(vdiId), BTREE_ROOT_OFFSET, Buffer.from('garbage!')))
  await assert.rejects(listVdis(cluster), (error) => {
    assert.ok(isSheepfsError(error, 'io'), String(error))
    assert.match(
      error.message,
      new RegExp(`^B-tree of hyper volume ${vdiId.toString(16)} is damaged: not a B-tree node`),
    )
    return true
  })
})

test('a sheep of 0.8 or 0.9 is not asked for deleted VDIs, and none is listed', { timeout: 60_000 }, async (t) => {
  const { cluster } = await lambCluster(t, { release: '0.9' })
  for (const name of ['gone', 'v']) await createVdi(cluster, { name, size: 2 ** 30 })
  await deleteVdi(cluster, [{ name: Buffer.from('gone') }], () => undefined)
  const query = t.mock.method(cluster, 'query')
  assert.deepEqual(
    (await listVdis(cluster)).map(({ header }) => Buffer.from(header.name).toString()),
    ['v'],
  )
  const asked = query.mock.calls.map(({ arguments: [{ header }] }) => Req.opcode.get(header))
  assert.deepEqual([asked.includes(Opcode.READ_VDIS), asked.includes(Opcode.READ_DEL_VDIS)], [true, false])
})

test('a VDI that is deleted while it is listed is left out, and no other', { timeout: 60_000 }, async (t) => {
  const { cluster } = await lambCluster(t)
  const { vdiId } = await createVdi(cluster, { name: 'gone', size: 2 ** 30 })
  await createVdi(cluster, { name: 'v', size: 1 })
  const read = cluster.read.bind(cluster)
  let reads = 0
  cluster.read = async (message, options) => {
    const response = await read(message, options)
    const isLate = message.oid !== undefined && vidOf(message.oid) === vdiId && ++reads > 1
    return isLate ? { ...response, result: Result.NO_OBJ } : response
  }
  const names = (await listVdis(cluster)).map(({ header }) => Buffer.from(header.name).toString())
  assert.deepEqual([names, reads], [['v'], 2])
})

test(
  'a VDI whose holders are silent is left out, others are not, nor a cluster that is away',
  { timeout: 60_000 },
  async (t) => {
    const { cluster } = await lambCluster(t)
    const { vdiId } = await createVdi(cluster, { name: 'silent', size: 2 ** 30 })
    await createVdi(cluster, { name: 'v', size: 1 })
    const read = cluster.read.bind(cluster)
    cluster.read = (message, options) =>
      message.oid && vidOf(message.oid) === vdiId ? new Promise(() => undefined) : read(message, options)
    assert.deepEqual(
      (await listVdis(cluster)).map(({ header }) => Buffer.from(header.name).toString()),
      ['v'],
    )
    const query = cluster.query.bind(cluster)
    const away = new SheepfsError('unreachable', 'away')
    cluster.query = (message) =>
      Req.opcode.get(message.header) === Opcode.GET_NODE_LIST ? Promise.reject(away) : query(message)
    await assert.rejects(listVdis(cluster), away)
  },
)
