import assert from 'node:assert/strict'
import test from 'node:test'
import { nodeInfoText } from '../../../src/tree/text/node-info-text.ts'
import { nodeListText } from '../../../src/tree/text/node-list-text.ts'
import { parseAddr } from '../../../src/wire/node-record.ts'

const MB = 2 ** 20
const GB = 2 ** 30

function node(host: string, port: number, nrVnodes: number, zone: number) {
  return { addr: parseAddr(host) ?? new Uint8Array(16), port, nrVnodes, zone, space: 0, disks: [] }
}

test('the node list is what dog printed', () => {
  const nodes = [
    node('127.0.0.1', 7600, 128, 0),
    node('127.0.0.1', 7630, 0, 3),
    node('fe80::ca0a:a9ff:fe12:3456', 7000, 66, 4294967295),
  ]
  assert.equal(
    nodeListText(nodes),
    `  Id   Host:Port         V-Nodes       Zone
   0   127.0.0.1:7600      \t128          0
   1   127.0.0.1:7630      \t 0          3
   2   fe80::ca0a:a9ff:fe12:3456:7000\t66 4294967295
`,
  )
})

test('node info shows each node, the total and the size of all volumes', () => {
  const store = { size: 77 * GB, free: 77 * GB - 16 * MB }
  assert.equal(
    nodeInfoText([store, { size: 0, free: 0 }], 448 * MB),
    `Id\tSize\tUsed\tAvail\tUse%
 0\t77 GB\t16 MB\t77 GB\t  0%
 1\t0.0 MB\t0.0 MB\t0.0 MB\t  0%
Total\t77 GB\t16 MB\t77 GB\t  0%

Total virtual image size\t448 MB
`,
  )
})

test('the share of space in use is cut, not rounded', () => {
  assert.match(nodeInfoText([{ size: 1000, free: 1 }], 0), /^ 0\t.*\t 99%$/m)
  assert.match(nodeInfoText([{ size: 1000, free: 0 }], 0), /^ 0\t.*\t100%$/m)
})

test('node info of gateways only shows zero percent', () => {
  assert.match(nodeInfoText([{ size: 0, free: 0 }], 0), /^Total\t0.0 MB\t0.0 MB\t0.0 MB\t {2}0%$/m)
})

test('node info is only the title when no node answered', () => {
  assert.equal(nodeInfoText([], 448 * MB), 'Id\tSize\tUsed\tAvail\tUse%\n')
})
