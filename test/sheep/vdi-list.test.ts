import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSheepfsError } from '../../src/errors.ts'
import { listVdis } from '../../src/sheep/vdi-list.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { BTREE_ROOT_OFFSET } from '../../src/wire/btree.ts'
import { inodeOid } from '../../src/wire/object-id.ts'
import { writeObject } from '../../src/wire/object-ops.ts'
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
