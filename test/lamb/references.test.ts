import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viewOf } from '../../src/wire/field.ts'
import { dataOid, inodeOid, ledgerOid } from '../../src/wire/object-id.ts'
import { createObject, exist, readObject, writeIndex } from '../../src/wire/object-ops.ts'
import { deleteVdi } from '../../src/wire/vdi-ops.ts'
import { startLamb } from './scratch.ts'
import { appeared, copyOnWrite, derive, fill, gone, makeVdi, readIndex, readReference, readText } from './vdi-steps.ts'

const limit = { timeout: 20_000 }

test('a snapshot counts one reference to each mapped object', limit, async (t) => {
  const { client } = await startLamb(t)
  const base = await makeVdi(client, 'v')
  await fill(client, base, 3, 'a')
  const working = await derive(client, 'v', base, true)
  assert.deepEqual(await readIndex(client, working, 2, 3), [0, base, 0])
  assert.deepEqual(await readReference(client, base, 3), [0, 1])
  assert.deepEqual(await readReference(client, working, 3), [1, 0])
  assert.deepEqual(await readReference(client, working, 2), [0, 0])
})

test('an object goes when its own and all inherited entries are gone, not before', limit, async (t) => {
  const { client } = await startLamb(t)
  const base = await makeVdi(client, 'v')
  await fill(client, base, 0, 'a')
  const working = await derive(client, 'v', base, true)
  await copyOnWrite(client, working, base, 0)
  await appeared(client, ledgerOid(base, 0))
  const { payload } = await client.call(readObject(ledgerOid(base, 0), 0, 8))
  assert.deepEqual([viewOf(payload).getInt32(0, true), viewOf(payload).getInt32(4, true)], [1, -1])
  assert.equal(await readText(client, base, 0, 2), 'aa')
  await client.call(writeIndex(base, 0, [0]))
  await gone(client, base, 0)
  assert.equal((await client.call(exist(ledgerOid(base, 0)))).result, 2)
  assert.equal(await readText(client, working, 0, 4), 'newa')
})

test('a chain of snapshots and a clone keep an object alive as long as one of them maps it', limit, async (t) => {
  const { client } = await startLamb(t)
  const first = await makeVdi(client, 'v')
  await fill(client, first, 0, 'a')
  const second = await derive(client, 'v', first, true)
  const third = await derive(client, 'v', second, true)
  const clone = await derive(client, 'clone', first, false)
  for (const vid of [third, first, second]) {
    await client.call(writeIndex(vid, 0, [0]))
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(await readText(client, first, 0, 1), 'a', `still mapped after ${vid.toString(16)}`)
  }
  await client.call(writeIndex(clone, 0, [0]))
  await gone(client, first, 0)
})

test(
  'rewriting an unchanged inherited entry makes the snapshot lose its data later, as on a real sheep',
  limit,
  async (t) => {
    const { client } = await startLamb(t)
    const base = await makeVdi(client, 'v')
    await fill(client, base, 0, 'a')
    await fill(client, base, 1, 'b')
    const working = await derive(client, 'v', base, true)
    await client.call(createObject(dataOid(working, 0), 0, Buffer.alloc(0), dataOid(base, 0)))
    await client.call(writeIndex(working, 0, [working, base]))
    assert.deepEqual(await readReference(client, working, 1), [0, 0])
    await copyOnWrite(client, working, base, 1)
    await gone(client, base, 1)
    assert.deepEqual(await readIndex(client, base, 1, 1), [base])
  },
)

test('a header write changes entries without counting', limit, async (t) => {
  const { client } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  const { payload } = await client.call(readObject(inodeOid(vid), 0, 4668))
  payload.fill(0, 4664)
  const message = writeIndex(vid, 0, [0])
  message.header.setUint32(40, 4660, true)
  message.header.setUint32(12, 8, true)
  await client.call({ ...message, payload: payload.subarray(4660) })
  assert.deepEqual(await readIndex(client, vid, 0, 1), [0])
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(await readText(client, vid, 0, 1), 'a')
})

test('an object made again right after its discard may be removed', limit, async (t) => {
  const { client, lamb, store } = await startLamb(t)
  lamb.faults.removalDelayMs = 3_600_000
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  await client.call(writeIndex(vid, 0, [0]))
  await fill(client, vid, 0, 'b')
  assert.equal(await readText(client, vid, 0, 1), 'b')
  // what is waiting is done at the end
  await lamb.close()
  const { client: later } = await startLamb(t, { store })
  assert.equal(await readText(later, vid, 0, 1), undefined)
  assert.deepEqual(await readIndex(later, vid, 0, 1), [vid])
})

test(
  'a VDI deleted with entries keeps name and objects; a cleared one loses its name and is listed as deleted',
  limit,
  async (t) => {
    const { client } = await startLamb(t)
    const vid = await makeVdi(client, 'v')
    await fill(client, vid, 0, 'a')
    const name = Buffer.from('v')
    assert.equal((await client.call(deleteVdi({ name }))).result, 0)
    assert.equal((await client.call(readObject(inodeOid(vid), 0, 1))).payload[0], name[0])
    assert.equal(await readText(client, vid, 0, 1), 'a')
    await client.call(writeIndex(vid, 0, [0]))
    assert.equal((await client.call(deleteVdi({ name }))).result, 0)
    assert.equal((await client.call(readObject(inodeOid(vid), 0, 1))).payload[0], 0)
    assert.equal((await client.call(deleteVdi({ name }))).result, 8)
  },
)
