import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { dataOid } from '../../src/wire/object-id.ts'
import {
  createObject,
  deleteCache,
  flushDelCache,
  flushVdi,
  readObject,
  writeObject,
} from '../../src/wire/object-ops.ts'
import type { Message } from '../../src/wire/message.ts'
import { Flag, Req, Result } from '../../src/wire/sd-proto.ts'
import { newVdi, parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import { startLamb } from './scratch.ts'
import { WireClient } from './wire-client.ts'

const limit = { timeout: 20_000 }

/** A VDI with one object, and clients of two gateways, which have an object cache each. */
async function twoGateways(t: TestContext) {
  const { client: first, ports } = await startLamb(t, { release: '0.9', hasObjectCache: true, gateways: 2 })
  const second = await WireClient.connect(ports[1] ?? 0)
  t.after(() => {
    second.close()
  })
  const { vid } = parseVdiAnswer(await first.call(newVdi({ name: Buffer.from('vdi'), size: 1 << 26 })))
  const oid = dataOid(vid, 0)
  const call = (client: WireClient, message: Message, flag = 0) => {
    Req.flags.set(message.header, Req.flags.get(message.header) | flag)
    return client.call(message)
  }
  const write = async (client: WireClient, text: string, flag = 0) => {
    assert.equal((await call(client, writeObject(oid, 0, Buffer.from(text)), flag)).result, Result.SUCCESS)
  }
  const read = async (client: WireClient, flag = 0): Promise<string> =>
    Buffer.from((await call(client, readObject(oid, 0, 3), flag)).payload).toString()
  await call(first, createObject(oid, 0, Buffer.from('old')), Flag.DIRECT)
  return { first, second, vid, write, read }
}

test('each gateway answers from its own cache what is not asked for directly', limit, async (t) => {
  const { first, second, write, read } = await twoGateways(t)
  assert.equal(await read(second), 'old')
  await write(first, 'new')
  assert.equal(await read(second), 'old')
  assert.equal(await read(second, Flag.DIRECT), 'old')
  await write(second, 'abc', Flag.DIRECT)
  assert.equal(await read(second), 'abc')
  assert.equal(await read(first, Flag.DIRECT), 'new')
})

test('what is written to a cache comes to the cluster when it is flushed', limit, async (t) => {
  const { first, second, vid, write, read } = await twoGateways(t)
  await write(first, 'new', Flag.CACHE)
  assert.equal(await read(second, Flag.DIRECT), 'old')
  await first.call(flushVdi(vid))
  assert.equal(await read(second, Flag.DIRECT), 'new')
  await write(second, 'abc', Flag.DIRECT)
  assert.equal(await read(first, Flag.CACHE), 'new')
  await second.call(deleteCache(vid, 0x09))
  assert.equal(await read(first, Flag.CACHE), 'abc')
})

test('a cache is written back whole when a gateway empties it, old objects too', limit, async (t) => {
  const { first, second, vid, write, read } = await twoGateways(t)
  assert.equal(await read(first), 'old')
  await write(second, 'new', Flag.DIRECT)
  await first.call(flushDelCache(vid, 0x09))
  assert.equal(await read(second, Flag.DIRECT), 'old')
})
