import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { once } from 'node:events'
import { test } from 'node:test'
import { dataOid } from '../../src/wire/object-id.ts'
import { newMessage } from '../../src/wire/message.ts'
import { readObject, writeIndex, writeObject } from '../../src/wire/object-ops.ts'
import { getNodeList } from '../../src/wire/info-ops.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { startLamb } from './scratch.ts'
import { fill, makeVdi, readIndex, readText } from './vdi-steps.ts'
import { WireClient } from './wire-client.ts'

const limit = { timeout: 20_000 }

test('requests sent together are executed and answered in any order', limit, async (t) => {
  const { client } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  const sent = client.answered.length
  await Promise.all(Array.from({ length: 200 }, () => client.call(readObject(dataOid(vid, 0), 0, 512))))
  const ids = client.answered.slice(sent)
  assert.equal(new Set(ids).size, 200)
  assert.notDeepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  )
})

test('with delay and reorder every request is still answered once, with its own data', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  for (const index of [0, 1, 2]) await fill(client, vid, index, 'abc'.charAt(index))
  lamb.faults.delayMs = 5
  lamb.faults.reorder = 8
  const texts = await Promise.all(Array.from({ length: 99 }, (_, i) => readText(client, vid, i % 3, 3)))
  assert.deepEqual(
    texts,
    Array.from({ length: 99 }, (_, i) => 'abc'.charAt(i % 3).repeat(3)),
  )
})

test('a connection dropped after executing has changed the store, one dropped before has not', limit, async (t) => {
  const { client, lamb, port } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  lamb.faults.addRule({ action: 'drop-before', opcode: Opcode.WRITE_OBJ, count: 1 })
  await assert.rejects(client.call(writeIndex(vid, 0, [vid])))
  const second = await WireClient.connect(port)
  assert.deepEqual(await readIndex(second, vid, 0, 1), [0])
  lamb.faults.clearRules()
  lamb.faults.addRule({ action: 'drop-after', opcode: Opcode.WRITE_OBJ, count: 1 })
  await assert.rejects(second.call(writeIndex(vid, 0, [vid])))
  const third = await WireClient.connect(port)
  assert.deepEqual(await readIndex(third, vid, 0, 1), [vid])
  third.close()
})

test('transient results come as often as asked for', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  lamb.faults.addRule({ action: { result: Result.NO_OBJ }, opcode: Opcode.READ_OBJ, kind: 'data', skip: 1, count: 2 })
  const results: number[] = []
  for (let i = 0; i < 4; i++) results.push((await client.call(readObject(dataOid(vid, 0), 0, 1))).result)
  assert.deepEqual(results, [0, Result.NO_OBJ, Result.NO_OBJ, 0])
})

test('while members are missing only the forced operations work', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  lamb.faults.isWaitingForJoin = true
  assert.equal((await client.call(readObject(dataOid(1, 0), 0, 1))).result, Result.WAIT_FOR_JOIN)
  assert.equal((await client.call(getNodeList(0x0a))).result, Result.SUCCESS)
})

test('a strict cluster without enough zones refuses writes and serves reads', limit, async (t) => {
  const store = (await startLamb(t, { format: { copies: 2 } })).store + '-strict'
  const { client } = await startLamb(t, { store, format: { copies: 2, flags: 5 } })
  assert.equal((await client.call(writeObject(dataOid(1, 0), 0, Buffer.from('x')))).result, Result.HALT)
  assert.equal((await client.call(readObject(dataOid(1, 0), 0, 1))).result, Result.NO_OBJ)
})

test('a failed read may carry payload that must be consumed', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  lamb.faults.errorPayload = true
  const { result, payload } = await client.call(readObject(dataOid(1, 0), 0, 512))
  assert.deepEqual([result, payload.length], [Result.NO_OBJ, 512])
  assert.equal((await client.call(newMessage(Opcode.GET_CLUSTER_DEFAULT, {}))).result, 0)
})

test('answers in small pieces are whole in the end', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  lamb.faults.pieceBytes = 700
  const texts = await Promise.all([2000, 5000, 10].map((length) => readText(client, vid, 0, length)))
  assert.deepEqual(
    texts,
    [2000, 5000, 10].map((length) => 'a'.repeat(length)),
  )
})

test('a silent lamb takes requests and never answers', limit, async (t) => {
  const { client, lamb } = await startLamb(t)
  lamb.faults.isSilent = true
  const answer = client.call(newMessage(Opcode.GET_CLUSTER_DEFAULT, {}))
  const winner = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 100, 'nothing'))])
  assert.equal(winner, 'nothing')
  client.close()
  await assert.rejects(answer)
})

test('a hook sees requests and may send its own before it decides', limit, async (t) => {
  const { client, lamb, port } = await startLamb(t)
  const vid = await makeVdi(client, 'v')
  await fill(client, vid, 0, 'a')
  const other = await WireClient.connect(port)
  let isOther = false
  lamb.faults.before = async (request) => {
    if (isOther || request.opcode !== Opcode.READ_OBJ) return undefined
    isOther = true
    await other.call(writeObject(dataOid(vid, 0), 0, Buffer.from('z')))
    return undefined
  }
  assert.equal(await readText(client, vid, 0, 2), 'za')
  other.close()
})

test('an impossible payload length closes the connection, and only that one', limit, async (t) => {
  const { client, port } = await startLamb(t)
  const socket = connect(port, '127.0.0.1')
  const header = new Uint8Array(48)
  header.set([2, Opcode.WRITE_OBJ, 1, 0], 0)
  header.fill(0xff, 12, 16)
  socket.write(header)
  await once(socket, 'close')
  assert.equal((await client.call(newMessage(Opcode.GET_CLUSTER_DEFAULT, {}))).result, 0)
})
