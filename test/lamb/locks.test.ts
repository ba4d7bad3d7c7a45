import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newVdi } from '../../src/wire/vdi-ops.ts'
import { startLamb } from './scratch.ts'
import { readVectors } from './vectors.ts'
import { WireClient } from './wire-client.ts'

/** Which of two gateways each captured request went through. */
const GATEWAY: Readonly<Record<number, 0 | 1>> = {
  101: 0,
  102: 1,
  103: 0,
  104: 1,
  105: 0,
  106: 0,
  107: 1,
  108: 1,
  109: 1,
  110: 1,
  111: 0,
  112: 0,
  113: 1,
  114: 1,
  115: 1,
  116: 1,
}

test('normal and shared locks over two gateways go as captured', { timeout: 20_000 }, async (t) => {
  const format = { copies: 2, flags: 0x0c }
  const { client: first, ports } = await startLamb(t, { format, gateways: 2 })
  const second = await WireClient.connect(ports[1] ?? 0)
  await first.call(newVdi({ name: Buffer.from('shared'), size: 64 << 20 }))
  for (const vector of readVectors(101, 116)) {
    const client = GATEWAY[vector.seq] === 0 ? first : second
    const { header, payload } = await client.exchange(vector.request, vector.requestPayload)
    const length = vector.response.readUInt32LE(16) === 0 ? 48 : 20
    const got = Buffer.from(header.buffer)
    assert.equal(got.toString('hex', 0, length), vector.response.toString('hex', 0, length), vector.name)
    if (vector.responsePayload) assert.deepEqual(Buffer.from(payload), vector.responsePayload, vector.name)
  }
  second.close()
})
