import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Connection } from '../../src/sheep/connection.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { readObject, writeObject } from '../../src/wire/object-ops.ts'
import { Opcode, Result, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import type { ScriptedSheep } from './scripted-sheep.ts'
import { clusterFor } from './staged-cluster.ts'

const LIMIT = { timeout: 10_000 }
const OBJECT = dataOid(7, 0)
const SLOW_READ = 256 * 1024
const BYTES = Uint8Array.from({ length: 4096 }, (_, i) => i & 0xff)

/** A connection to a new scripted sheep that holds one object; `losses` are what ended it. */
async function connected(context: TestContext, options: { deadlineMs?: number; trimsZeros?: boolean } = {}) {
  const { model, sheep } = await clusterFor(context)
  const [one] = sheep as [ScriptedSheep]
  model.create(OBJECT, 0, BYTES)
  const losses: SheepfsError[] = []
  const { deadlineMs = 5000, trimsZeros = false } = options
  const connection = await Connection.open(
    one.address,
    { world: realWorld, connectTimeoutMs: 1000, deadlineMs: () => deadlineMs, trimsZeros: () => trimsZeros },
    (error) => losses.push(error),
  )
  context.after(() => {
    connection.destroy(new SheepfsError('closed', 'the test is over'))
  })
  return { sheep: one, connection, losses }
}

test('responses in any order reach the requests they belong to', LIMIT, async (context) => {
  const { sheep, connection } = await connected(context)
  sheep.script = (request) => ({ kind: 'answer', afterMs: 20 - 2 * (request.offset / 100) })
  const order: number[] = []
  await Promise.all(
    Array.from({ length: 10 }, async (_, i) => {
      const { payload } = await connection.exchange(readObject(OBJECT, i * 100, 50))
      assert.deepEqual(Buffer.from(payload), Buffer.from(BYTES.subarray(i * 100, i * 100 + 50)))
      order.push(i)
    }),
  )
  assert.notDeepEqual(
    order,
    [...order].sort((a, b) => a - b),
  )
  assert.equal(connection.inFlight, 0)
})

test('a payload is received where the caller wants it', LIMIT, async (context) => {
  const { connection } = await connected(context)
  const into = new Uint8Array(4096)
  const { result } = await connection.exchange(readObject(OBJECT, 0, 4096), into)
  assert.equal(result, Result.SUCCESS)
  assert.deepEqual(into, BYTES)
})

test('the payload of an error is consumed and the next response is understood', LIMIT, async (context) => {
  const { sheep, connection } = await connected(context)
  sheep.script = ({ offset }) =>
    offset === 0
      ? { kind: 'refuse', result: Result.NO_OBJ, payload: new Uint8Array(512).fill(0xee) }
      : { kind: 'answer' }
  const [error, success] = await Promise.all([
    connection.exchange(readObject(OBJECT, 0, 512)),
    connection.exchange(readObject(OBJECT, 512, 512)),
  ])
  assert.equal(error.result, Result.NO_OBJ)
  assert.deepEqual(Buffer.from(success.payload), Buffer.from(BYTES.subarray(512, 1024)))
})

test(
  'a loss rejects everything in flight, and everything asked afterwards, with the same error',
  LIMIT,
  async (context) => {
    const { sheep, connection, losses } = await connected(context)
    sheep.script = ({ offset }) =>
      offset === 9 ? { kind: 'cut', execute: 'never' } : { kind: 'silent', execute: false }
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) => connection.exchange(readObject(OBJECT, i, 1))),
    )
    const reasons = results.map((result) => (result.status === 'rejected' ? (result.reason as unknown) : undefined))
    assert.deepEqual(reasons, Array(10).fill(connection.closed))
    assert.equal(connection.closed?.code, 'unreachable')
    assert.deepEqual(losses, [connection.closed])
    await assert.rejects(connection.exchange(readObject(OBJECT, 0, 1)), connection.closed)
    assert.equal(connection.inFlight, 0)
  },
)

/** A sheep that answers a read with zeros, `piece` bytes every 20 ms, and its address. */
async function slowSheep(context: TestContext, piece: number): Promise<Address> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (request: Buffer) => {
      const header = Buffer.alloc(SD_HEADER_SIZE)
      const view = new DataView(header.buffer, header.byteOffset)
      Rsp.opcode.set(view, Opcode.READ_OBJ)
      Rsp.id.set(view, request.readUInt32LE(8))
      Rsp.dataLength.set(view, SLOW_READ)
      const answer = Buffer.concat([header, Buffer.alloc(SLOW_READ)])
      let sent = 0
      const timer = setInterval(() => socket.write(answer.subarray(sent, (sent += piece))), 20)
      socket.once('close', () => {
        clearInterval(timer)
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

for (const [pace, piece] of [
  ['slowly', 16 * 1024],
  ['hardly at all', 100],
] as const) {
  test(
    `an answer that comes ${pace} ${piece < 1024 ? 'ends the connection' : 'is waited for'}`,
    LIMIT,
    async (context) => {
      const address = await slowSheep(context, piece)
      const options = { world: realWorld, connectTimeoutMs: 1000, deadlineMs: () => 100, trimsZeros: () => false }
      const connection = await Connection.open(address, options, () => undefined)
      context.after(() => {
        connection.destroy(new SheepfsError('closed', 'the test is over'))
      })
      const reading = connection.exchange(readObject(OBJECT, 0, SLOW_READ))
      if (piece < 1024) await assert.rejects(reading, { code: 'timeout' })
      else assert.equal((await reading).payload.length, SLOW_READ)
    },
  )
}

test('a request without a response ends the connection at its deadline', LIMIT, async (context) => {
  const { sheep, connection } = await connected(context, { deadlineMs: 40 })
  sheep.script = () => ({ kind: 'silent', execute: false })
  await assert.rejects(connection.exchange(readObject(OBJECT, 0, 1)), { code: 'timeout' })
})

test('nobody listening rejects the opening, and is not reported as a loss', LIMIT, async (context) => {
  const { sheep } = await clusterFor(context)
  const [one] = sheep as [ScriptedSheep]
  await one.stop()
  const options = { world: realWorld, connectTimeoutMs: 1000, deadlineMs: () => 1000, trimsZeros: () => false }
  const losses: SheepfsError[] = []
  await assert.rejects(
    Connection.open(one.address, options, (error) => losses.push(error)),
    { code: 'unreachable' },
  )
  assert.deepEqual(losses, [])
})

test('a destroyed connection stays destroyed with its first error', LIMIT, async (context) => {
  const { connection, losses } = await connected(context)
  const first = new SheepfsError('closed', 'first')
  connection.destroy(first)
  connection.destroy(new SheepfsError('closed', 'second'))
  assert.equal(connection.closed, first)
  assert.deepEqual(losses, [first])
})

test('a second response to one request ends the connection', LIMIT, async (context) => {
  const { sheep, connection } = await connected(context)
  sheep.script = () => ({ kind: 'twice' })
  const { payload } = await connection.exchange(readObject(OBJECT, 5, 1))
  assert.deepEqual([...payload], [5])
  await assert.rejects(connection.exchange(readObject(OBJECT, 6, 1)), { code: 'protocol' })
})

test(
  'a read that is too short ends the connection, unless the cluster is one that trims zeros',
  LIMIT,
  async (context) => {
    const strict = await connected(context)
    const short = { kind: 'refuse', result: Result.SUCCESS, payload: Uint8Array.of(9, 9) } as const
    strict.sheep.script = () => short
    await assert.rejects(strict.connection.exchange(readObject(OBJECT, 0, 4)), { code: 'protocol' })
    const trimming = await connected(context, { trimsZeros: true })
    trimming.sheep.script = () => short
    const into = new Uint8Array(4).fill(7)
    await trimming.connection.exchange(readObject(OBJECT, 0, 4), into)
    assert.deepEqual([...into], [9, 9, 0, 0])
  },
)

test('whether changes were in flight is told with the loss', LIMIT, async (context) => {
  const { sheep } = await connected(context)
  sheep.script = ({ opcode }) =>
    opcode === Opcode.WRITE_OBJ ? { kind: 'cut', execute: 'first' } : { kind: 'silent', execute: false }
  const hadChanges: boolean[] = []
  const options = { world: realWorld, connectTimeoutMs: 1000, deadlineMs: () => 40, trimsZeros: () => false }
  const onClosed = (_: SheepfsError, had: boolean): void => void hadChanges.push(had)
  const reader = await Connection.open(sheep.address, options, onClosed)
  await assert.rejects(reader.exchange(readObject(OBJECT, 0, 1)))
  const writer = await Connection.open(sheep.address, options, onClosed)
  await assert.rejects(writer.exchange(writeObject(OBJECT, 0, Uint8Array.of(1))))
  assert.deepEqual(hadChanges, [false, true])
})
