import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readClusterStatus } from '../../src/sheep/cluster-info.ts'
import { SD_MAX_NODES } from '../../src/wire/node-record.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import { clusterFor } from './staged-cluster.ts'

test('the epochs of a cluster of 0.7 or 0.8 are asked for with room for all nodes', { timeout: 20_000 }, async (t) => {
  const { open, sheep } = await clusterFor(t)
  const cluster = await open()
  const wanted: number[] = []
  for (const one of sheep) {
    one.script = ({ opcode, dataLength }) => {
      if (opcode !== Opcode.STAT_CLUSTER) return { kind: 'answer' }
      wanted.push(dataLength)
      return dataLength < SD_MAX_NODES ? { kind: 'refuse', result: Result.SUCCESS } : { kind: 'answer' }
    }
  }
  const { result, status } = await readClusterStatus(cluster)
  assert.equal(result, Result.SUCCESS)
  assert.equal(status?.epochs.length, 1)
  assert.equal(wanted.length, 3)
})
