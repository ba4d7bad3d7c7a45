import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { createObject, readObject, writeIndex } from '../../src/wire/object-ops.ts'
import { dataOid, inodeOid, ledgerOid } from '../../src/wire/object-id.ts'
import type { LambOptions } from '../../src/lamb/server.ts'
import { startLamb } from './scratch.ts'
import { readVectors, type Vector } from './vectors.ts'
import { appeared } from './vdi-steps.ts'
import type { WireClient } from './wire-client.ts'

const DEMO = 0x76d396
const HYPER = 0xc1a482

/** Ranges of answers that no two servers give alike: `header` from its start, `payload` from its own. */
const VARIABLE: Readonly<Record<number, { header?: [number, number][]; payload?: [number, number][] }>> = {
  // a node record: addresses of the heap, port, space
  6: {
    payload: [
      [0, 24],
      [40, 42],
      [72, 80],
    ],
  },
  // times of creation and epoch, then a node record
  7: { payload: [[0, 8]] },
  8: {
    payload: [
      [0, 16],
      [48, 72],
      [88, 90],
      [120, 128],
    ],
  },
  // sizes of the disk
  9: { header: [[32, 48]] },
  // create_time and snap_ctime
  27: { payload: [[512, 520]] },
  53: { payload: [[512, 528]] },
  54: { payload: [[512, 528]] },
  85: { payload: [[512, 520]] },
  // memory past the object's end, never cleared
  41: { payload: [[512, 1024]] },
}

/** Such ranges of answers known by their hash: the bytes of the real server come from another vector. */
const BORROWED: Readonly<Record<number, { at: number; from: number; start: number; length: number }[]>> = {
  10: [
    { at: 8, from: 8, start: 0, length: 8 },
    { at: 48, from: 6, start: 0, length: 80 },
  ],
  28: [{ at: 512, from: 27, start: 512, length: 8 }],
  29: [{ at: 512, from: 27, start: 512, length: 8 }],
}

test('an unformatted lamb answers as a sheep', { timeout: 20_000 }, async (t) => {
  const client = await lamb(t, { isUnformatted: true })
  for (const vector of readVectors(1, 4)) await replay(t, client, vector)
})

test(
  'the life of a single node replayed gives the same ids, versions, results and bytes',
  { timeout: 60_000 },
  async (t) => {
    const client = await lamb(t, {})
    for (const vector of readVectors(5, 97)) {
      if (vector.seq === 47) await fillDemo(client)
      if (vector.seq === 65) await appeared(client, ledgerOid(DEMO, 1))
      await replay(t, client, vector)
    }
  },
)

async function lamb(t: TestContext, options: Partial<LambOptions>): Promise<WireClient> {
  const { client } = await startLamb(t, { zone: 0, ...options })
  return client
}

/** What was done between vectors 46 and 47: objects 1 to 3 of "demo", full of B. */
async function fillDemo(client: WireClient): Promise<void> {
  for (const index of [1, 2, 3]) {
    await client.call(createObject(dataOid(DEMO, index), 0, Buffer.alloc(4 << 20, 'B')))
    await client.call(writeIndex(DEMO, index, [DEMO]))
  }
}

async function replay(t: TestContext, client: WireClient, vector: Vector): Promise<void> {
  await t.test(`${vector.seq} ${vector.name}`, { timeout: 10_000 }, async () => {
    const payload = vector.requestPayload ?? (await missingPayload(client, vector.seq))
    const { header, payload: answer, result } = await client.exchange(vector.request, payload)
    const got = Buffer.from(header.buffer)
    // with an error the union after the result may hold leftovers
    const length = result === 0 ? 48 : 20
    const headerRanges = VARIABLE[vector.seq]?.header ?? []
    assert.equal(hex(got.subarray(0, length), headerRanges), hex(vector.response.subarray(0, length), headerRanges))
    assert.equal(answer.length, vector.responsePayloadLength)
    const payloadRanges = VARIABLE[vector.seq]?.payload ?? []
    if (vector.responsePayload) assert.equal(hex(answer, payloadRanges), hex(vector.responsePayload, payloadRanges))
    else if (vector.responsePayloadSha256 !== undefined) {
      for (const { at, from, start, length } of BORROWED[vector.seq] ?? []) {
        const real = readVectors(from, from)[0]?.responsePayload
        assert.ok(real)
        answer.set(real.subarray(start, start + length), at)
      }
      assert.equal(createHash('sha256').update(answer).digest('hex'), vector.responsePayloadSha256)
    }
  })
}

function hex(bytes: Uint8Array, ranges: readonly (readonly [number, number])[]): string {
  const copy = Buffer.from(bytes)
  for (const [start, end] of ranges) copy.fill(0, start, end)
  return copy.toString('hex')
}

/** Payloads that the vectors only hold by their hash, made again. */
async function missingPayload(client: WireClient, seq: number): Promise<Buffer> {
  if (seq === 91) {
    const { payload } = await client.call(readObject(inodeOid(HYPER), 0, 4680))
    const update = Buffer.from(payload)
    Buffer.from('74620100010000000000200082a4c100', 'hex').copy(update, 4664)
    return update
  }
  const attribute = Buffer.alloc(66320)
  attribute.write('copy', 0)
  attribute.write(seq === 97 ? 'nokey' : 'mykey', 528)
  if (seq === 95) {
    attribute.writeUInt32LE(5, 524)
    attribute.write('hello', 784)
  }
  return attribute
}
