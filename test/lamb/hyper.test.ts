import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { newMessage } from '../../src/wire/message.ts'
import { btreeOid, dataOid, inodeOid, oidText, writeOid, type ObjectId } from '../../src/wire/object-id.ts'
import { createObject, exist, readObject, writeObject } from '../../src/wire/object-ops.ts'
import { Opcode } from '../../src/wire/sd-proto.ts'
import { deleteVdi } from '../../src/wire/vdi-ops.ts'
import { viewOf } from '../../src/wire/field.ts'
import { startLamb } from './scratch.ts'
import { derive, makeVdi } from './vdi-steps.ts'
import type { WireClient } from './wire-client.ts'

const limit = { timeout: 20_000 }
const HYPER = { storePolicy: 1 }

test(
  'a hyper volume counts no references, discards by its tree and is deleted with all its objects',
  limit,
  async (t) => {
    const { client, store } = await startLamb(t)
    const vid = await makeVdi(client, 'h', HYPER)
    await writeTree(client, vid, [0, 5])
    assert.equal((await client.call(discard(dataOid(vid, 5)))).result, 0)
    assert.equal((await client.call(exist(dataOid(vid, 5)))).result, 2)
    const { payload } = await client.call(readObject(btreeOid(vid, 0), 0, 24))
    assert.deepEqual(words(payload), [0x0001_6274, 2, 0, vid, 5, 0])
    assert.equal((await client.call(deleteVdi({ name: Buffer.from('h') }))).result, 0)
    assert.deepEqual(readdirSync(join(store, 'obj')), [oidText(inodeOid(vid))])
    assert.equal((await client.call(readObject(inodeOid(vid), 0, 1))).payload[0], 0)
  },
)

test('a clone of a hyper volume has leaves of its own', limit, async (t) => {
  const { client } = await startLamb(t)
  const vid = await makeVdi(client, 'h', HYPER)
  await writeTree(client, vid, [0, 5])
  const clone = await derive(client, 'clone', vid, false)
  const { payload } = await client.call(readObject(inodeOid(clone), 4664, 24))
  assert.deepEqual(words(payload).slice(4), [0, btreeOid(clone, 0).high])
  const leaf = await client.call(readObject(btreeOid(clone, 0), 0, 24))
  assert.deepEqual(words(leaf.payload), [0x0001_6274, 2, 0, vid, 5, vid])
})

/** A root with one leaf, which maps the given objects. */
async function writeTree(client: WireClient, vid: number, indices: readonly number[]): Promise<void> {
  for (const index of indices) await client.call(createObject(dataOid(vid, index), 0, Buffer.from('x')))
  const leaf = Uint32Array.of(0x0001_6274, indices.length, ...indices.flatMap((index) => [index, vid]))
  await client.call(createObject(btreeOid(vid, 0), 0, new Uint8Array(leaf.buffer)))
  const head = Buffer.from((await client.call(readObject(inodeOid(vid), 0, 4664 + 24))).payload)
  const root = viewOf(head.subarray(4664))
  root.setUint32(0, 0x0002_6274, true)
  root.setUint32(4, 1, true)
  root.setUint32(8, indices.at(-1) ?? 0, true)
  writeOid(root, btreeOid(vid, 0), 16)
  assert.equal((await client.call(writeObject(inodeOid(vid), 0, head))).result, 0)
}

function discard(oid: ObjectId) {
  const message = newMessage(Opcode.DISCARD_OBJ, {})
  writeOid(message.header, oid, 16)
  return message
}

function words(bytes: Uint8Array): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, i) => viewOf(bytes).getUint32(4 * i, true))
}
