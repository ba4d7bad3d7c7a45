import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deferred } from '../../src/fuse/kernel/deferred.ts'
import { readClusterStatus, readStoreSpace } from '../../src/sheep/cluster-info.ts'
import type { Requests } from '../../src/sheep/requests.ts'
import { systemClock } from '../../src/system-clock.ts'
import type { Response } from '../../src/wire/message.ts'
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

test('a node that does not answer within two seconds has no space, and is no error', async () => {
  const waits: { ms: number; run: () => void }[] = []
  const after = (ms: number, run: () => void) => {
    waits.push({ ms, run })
    return { cancel: () => undefined }
  }
  const asked = deferred<Response>()
  const cluster = { clock: { ...systemClock, after }, protoVer: 10, ask: () => asked.promise } as unknown as Requests
  const node = { addr: new Uint8Array(16), port: 7000, nrVnodes: 1, zone: 0, space: 0, disks: [] }
  const space = readStoreSpace(cluster, node)
  assert.deepEqual(
    waits.map(({ ms }) => ms),
    [2000],
  )
  waits[0]?.run()
  assert.equal(await space, undefined)
  asked.reject(new Error('late, and nobody is told'))
})
