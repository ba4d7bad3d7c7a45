import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askInEpoch } from '../../src/sheep/ask-in-epoch.ts'
import type { Connection } from '../../src/sheep/connection.ts'
import { parseAnswer } from '../../src/sheep/parse-answer.ts'
import { getNodeList } from '../../src/wire/info-ops.ts'
import { Ring } from '../../src/wire/ring.ts'

const NODE = { addr: new Uint8Array(16), port: 7000, nrVnodes: 0, zone: 1, space: 0, disks: [] }

test('a sheep whose epoch runs on is asked no more, and named', async () => {
  let epoch = 0
  let asked = 0
  const connection = {
    address: { host: '10.0.0.1', port: 7000 },
    epoch,
    exchange: () => {
      asked++
      return Promise.resolve({ epoch: ++epoch })
    },
  } as unknown as Connection
  await assert.rejects(askInEpoch(connection, getNodeList(10)), {
    code: 'protocol',
    message: /10\.0\.0\.1:7000.*epoch/,
  })
  assert.ok(asked <= 64, String(asked))
})

test('a ring beyond all clusters is a protocol error before it takes memory', () => {
  const disks = [0, 2 ** 31, 2 ** 32 - 1, 2 ** 53].map((space) => ({ idLow: 1, idHigh: 1, space: space * 2 ** 10 }))
  const before = process.memoryUsage().arrayBuffers
  for (const nodes of [[{ ...NODE, disks }], Array.from({ length: 6144 }, () => ({ ...NODE, nrVnodes: 65_535 }))]) {
    const parse = () =>
      parseAnswer({ address: { host: '10.0.0.1', port: 7000 } }, () => Ring.of(nodes, nodes.length === 1))
    assert.throws(parse, { code: 'protocol', message: /^sheep 10\.0\.0\.1:7000: a ring of \d+ positions/ })
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 1 << 20)
})
