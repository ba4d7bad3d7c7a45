import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dataOid } from '../../src/wire/object-id.ts'
import { createObject, writeIndex, writeObject } from '../../src/wire/object-ops.ts'
import { newMessage } from '../../src/wire/message.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { getVdiInfo, parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import { Lamb } from '../../src/lamb/server.ts'
import { startLamb } from './scratch.ts'
import { derive, fill, lookup, makeVdi, readIndex, readText } from './vdi-steps.ts'
import { WireClient } from './wire-client.ts'

const limit = { timeout: 20_000 }

test('data of a snapshot is read-only, its index is not', limit, async (t) => {
  const { client } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  const working = await derive(client, 'v', vid, true)
  const probe = Buffer.alloc(0)
  assert.equal((await client.call(writeObject(dataOid(vid, 0), 0, Buffer.from('x')))).result, Result.READONLY)
  assert.equal((await client.call(writeObject(dataOid(vid, 77), 0, probe))).result, Result.READONLY)
  assert.equal((await client.call(createObject(dataOid(vid, 1), 0, probe))).result, Result.READONLY)
  assert.equal((await client.call(writeIndex(vid, 5, [vid]))).result, Result.SUCCESS)
  assert.deepEqual(await readIndex(client, vid, 5, 1), [vid])
  assert.deepEqual(await readIndex(client, working, 5, 1), [0])
})

test('a publish between the two halves of a snapshot is answered and lost', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  lamb.faults.snapshotPauseMs = 500
  const vid = await makeVdi(client, 'v')
  assert.equal((await client.call(createObject(dataOid(vid, 4), 0, Buffer.from('data')))).result, 0)
  const snapshot = derive(client, 'v', vid, true)
  const probe = () => client.call(writeObject(dataOid(vid, 4), 0, Buffer.alloc(0)))
  while ((await probe()).result !== Result.READONLY);
  assert.equal((await client.call(writeIndex(vid, 4, [vid]))).result, Result.SUCCESS)
  const working = await snapshot
  assert.deepEqual(await readIndex(client, vid, 4, 1), [0])
  assert.deepEqual(await readIndex(client, working, 4, 1), [0])
  assert.equal(await readText(client, vid, 4, 4), 'data')
})

test('cloning a working VDI makes its data read-only until the lamb restarts', limit, async (t) => {
  const { client, lamb, store } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  await derive(client, 'clone', vid, false)
  assert.equal(await lookup(client, 'v'), vid)
  const write = () => writeObject(dataOid(vid, 0), 0, Buffer.from('x'))
  assert.equal((await client.call(write())).result, Result.READONLY)
  await lamb.close()
  const again = new Lamb({ store, port: 0 })
  t.after(() => again.close())
  const later = await WireClient.connect((await again.open()).port)
  assert.equal((await later.call(write())).result, Result.SUCCESS)
  later.close()
})

test('a rebase makes the working VDI a snapshot and starts from another one', limit, async (t) => {
  const { client } = await startLamb(t)
  const first = await makeVdi(client, 'v')
  await fill(client, first, 0, 'a')
  const second = await derive(client, 'v', first, true)
  await fill(client, second, 1, 'b')
  const third = await derive(client, 'v', first, true)
  assert.equal(await lookup(client, 'v'), third)
  assert.deepEqual(await readIndex(client, third, 0, 2), [first, 0])
  const found = await client.call(getVdiInfo({ name: Buffer.from('v'), snapId: 2 }))
  assert.equal(parseVdiAnswer(found).vid, second)
})

test('discarding with the vid of the parent takes the data from the snapshot', limit, async (t) => {
  const { client } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  const working = await derive(client, 'v', vid, true)
  const discard = newMessage(Opcode.DISCARD_OBJ, {})
  discard.header.setUint32(20, vid, true)
  assert.equal((await client.call(discard)).result, 0)
  assert.equal(await readText(client, vid, 0, 1), undefined)
  assert.deepEqual(await readIndex(client, vid, 0, 1), [0])
  assert.deepEqual(await readIndex(client, working, 0, 1), [vid])
})

test('somebody else takes a snapshot between create and publish', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  lamb.faults.addRule({ action: 'snapshot', opcode: Opcode.WRITE_OBJ, kind: 'inode', count: 1 })
  await fill(client, vid, 0, 'a')
  const working = await lookup(client, 'v')
  assert.notEqual(working, vid)
  assert.deepEqual(await readIndex(client, vid, 0, 1), [vid])
  assert.deepEqual(await readIndex(client, working, 0, 1), [0])
})
