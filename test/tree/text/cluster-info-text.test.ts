import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { clusterInfoText } from '../../../src/tree/text/cluster-info-text.ts'
import type { ClusterStatus, Epoch } from '../../../src/wire/info-ops.ts'
import { parseAddr } from '../../../src/wire/node-record.ts'
import { Result } from '../../../src/wire/sd-proto.ts'

const zone = process.env['TZ']
before(() => (process.env['TZ'] = 'UTC'))
after(() => (zone === undefined ? delete process.env['TZ'] : (process.env['TZ'] = zone)))

const start = Date.UTC(2026, 10, 22, 13, 1, 15) / 1000

function epoch(number: number, timeSeconds: number, ports: readonly number[]): Epoch {
  const addr = parseAddr('127.0.0.1') ?? new Uint8Array(16)
  const nodes = ports.map((port) => ({ addr, port, nrVnodes: port === 7630 ? 0 : 128, zone: 0, space: 0, disks: [] }))
  return { epoch: number, timeSeconds, nodes }
}

function status(changes: Partial<ClusterStatus> = {}): ClusterStatus {
  return {
    ctime: '0123456789abcdef',
    ctimeSeconds: start,
    isRecoveryDisabled: false,
    copies: 2,
    copyPolicy: 0,
    flags: 0,
    store: 'plain',
    epochs: [
      epoch(3, start + 49, [7600, 7610, 7620]),
      epoch(2, start + 47, [7600, 7630]),
      epoch(1, start, [7600, 7610, 7620]),
    ],
    ...changes,
  }
}

const rest = `
Cluster created at Sun Nov 22 13:01:15 2026

Epoch Time           Version [Host:Port:V-Nodes,,,]
2026-11-22 13:02:04      3 [127.0.0.1:7600:128, 127.0.0.1:7610:128, 127.0.0.1:7620:128]
2026-11-22 13:02:02      2 [127.0.0.1:7600:128, 127.0.0.1:7630:0]
2026-11-22 13:01:15      1 [127.0.0.1:7600:128, 127.0.0.1:7610:128, 127.0.0.1:7620:128]
`

test('a running cluster is shown as dog shows it, newest epoch first', () => {
  const text = clusterInfoText({ result: Result.SUCCESS, status: status() })
  assert.equal(text, `Cluster status: running, auto-recovery enabled\n${rest}`)
})

test('disabled recovery is shown', () => {
  const text = clusterInfoText({ result: Result.SUCCESS, status: status({ isRecoveryDisabled: true }) })
  assert.equal(text, `Cluster status: running, auto-recovery disabled\n${rest}`)
})

test('a cluster that was never formatted shows its state and nothing else', () => {
  const text = clusterInfoText({ result: Result.WAIT_FOR_FORMAT, status: undefined })
  assert.equal(text, 'Cluster status: Waiting for cluster to be formatted\n\n')
})

test('a cluster that waits for members shows its state and its epochs', () => {
  const text = clusterInfoText({ result: Result.WAIT_FOR_JOIN, status: status() })
  assert.equal(text, `Cluster status: Waiting for other nodes to join cluster\n${rest}`)
})

test('in disk mode the number of disks follows the virtual nodes', () => {
  const text = clusterInfoText({ result: Result.SUCCESS, status: status({ flags: 0x02 }) })
  assert.match(text, / 2 \[127\.0\.0\.1:7600:128\(0\), 127\.0\.0\.1:7630:0\(0\)\]\n/)
})
