import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dataOid } from '../../src/wire/object-id.ts'
import { createObject, readObject } from '../../src/wire/object-ops.ts'
import { getNodeList, parseNodeList } from '../../src/wire/info-ops.ts'
import { newVdi, parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import { newMessage } from '../../src/wire/message.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { startLamb } from './scratch.ts'
import { readVectors } from './vectors.ts'

const limit = { timeout: 20_000 }
const TRIMMED_VID = 0x92ca54

test('reads of a lamb that passes for 0.7 are trimmed as captured', limit, async (t) => {
  const { client } = await startLamb(t, { release: '0.7' })
  await client.call(createObject(dataOid(TRIMMED_VID, 0), 8192, Buffer.alloc(5000, 'x')))
  for (const vector of readVectors(128, 134)) {
    const { header, payload } = await client.exchange(vector.request)
    assert.equal(Buffer.from(header.buffer).toString('hex'), vector.response.toString('hex'), vector.name)
    if (vector.responsePayload) assert.deepEqual(Buffer.from(payload), vector.responsePayload, vector.name)
  }
})

test('a lamb that passes for 0.7 has short node records and lacks newer operations', limit, async (t) => {
  const { client, port } = await startLamb(t, { release: '0.7' })
  assert.equal((await client.call(getNodeList(0x0a))).result, Result.VER_MISMATCH)
  const list = await client.call(getNodeList(0x08))
  assert.equal(list.payload.length, 56)
  assert.equal(parseNodeList(list)[0]?.port, port)
  assert.equal((await client.call(newMessage(Opcode.GET_CLUSTER_DEFAULT, {}))).result, Result.INVALID_PARMS)
})

test('FLUSH_VDI succeeds only with an object cache', limit, async (t) => {
  const { client: without } = await startLamb(t)
  const { client: cached } = await startLamb(t, { release: '0.9', hasObjectCache: true })
  assert.equal((await without.call(newMessage(Opcode.FLUSH_VDI, {}))).result, Result.INVALID_PARMS)
  assert.equal((await cached.call(newMessage(Opcode.FLUSH_VDI, {}))).result, Result.SUCCESS)
})

test('erasure-coded VDIs need zones for their strips, and failed reads of them carry payload', limit, async (t) => {
  const { client } = await startLamb(t, { zones: 3 })
  const make = async (name: string, copyPolicy: number) =>
    parseVdiAnswer(await client.call(newVdi({ name: Buffer.from(name), size: 1 << 26, copies: 1, copyPolicy })))
  const small = await make('small', 0x11)
  assert.equal(small.copies, 3)
  const missing = await client.call(readObject(dataOid(small.vid, 0), 0, 512))
  assert.deepEqual([missing.result, missing.payload.length], [Result.NO_OBJ, 512])
  assert.equal((await client.call(createObject(dataOid(small.vid, 0), 300, Buffer.from('strip')))).result, 0)
  const back = await client.call(readObject(dataOid(small.vid, 0), 299, 7))
  assert.equal(Buffer.from(back.payload).toString('latin1'), '\0strip\0')
  const wide = await make('wide', 0x43)
  const refused = await client.call(createObject(dataOid(wide.vid, 0), 0, Buffer.from('x')))
  assert.equal(refused.result, Result.SYSTEM_ERROR)
})
