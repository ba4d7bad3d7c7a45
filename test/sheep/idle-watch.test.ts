import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { addressText, type Address } from '../../src/sheep/address.ts'
import type { Connection } from '../../src/sheep/connection.ts'
import { IdleWatch } from '../../src/sheep/idle-watch.ts'
import { KnownCluster } from '../../src/sheep/known-cluster.ts'
import { toTopology, type Topology } from '../../src/sheep/topology.ts'
import { viewOf } from '../../src/wire/field.ts'
import type { Response } from '../../src/wire/message.ts'
import { parseAddr } from '../../src/wire/node-record.ts'
import { Ring } from '../../src/wire/ring.ts'
import { Result, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import { FAST } from './staged-cluster.ts'
import { until } from './until.ts'

const LIMIT = { timeout: 20_000 }
const ADDR = parseAddr('127.0.0.1') ?? new Uint8Array(16)
const STAT_SIZE = 120

function nodes(epoch: number, ...ports: number[]): Topology {
  const records = ports.map((port) => ({ addr: ADDR, port, zone: port, nrVnodes: 128, space: 1, disks: [] }))
  return toTopology(epoch, records, Ring.of(records))
}

/** What a sheep says that does nothing. */
function quiet(): Response {
  const header = viewOf(new Uint8Array(SD_HEADER_SIZE))
  return { result: Result.SUCCESS, epoch: 1, header, payload: new Uint8Array(STAT_SIZE) }
}

test('nothing is done as long as one node has not been seen idle, or the nodes are not known', LIMIT, async () => {
  const known = new KnownCluster(realWorld.clock)
  const asked: string[] = []
  const away = new Set(['127.0.0.1:2'])
  const gateways = {
    to: (address: Address): Promise<Connection> => {
      asked.push(addressText(address))
      if (away.has(addressText(address))) return Promise.reject(new SheepfsError('unreachable', 'away'))
      return Promise.resolve({ exchange: () => Promise.resolve(quiet()) } as unknown as Connection)
    },
  }
  const watch = new IdleWatch({ world: realWorld, timing: FAST, known, gateways })
  let isDone = false
  void watch.allDone(() => true).then(() => (isDone = true))
  await pause(20 * FAST.idlePollMs)
  assert.ok(!isDone, 'nobody is known')
  assert.deepEqual(asked, [])
  known.learnNodes(nodes(1, 1, 2))
  await until(() => asked.filter((one) => one === '127.0.0.1:2').length >= 3)
  assert.ok(!isDone, 'one cannot be asked')
  assert.equal(asked.filter((one) => one === '127.0.0.1:1').length, 1, 'what is known is not asked again')
  away.clear()
  await until(() => isDone)
  // what was given back since is not known to be over
  isDone = false
  away.add('127.0.0.1:1')
  void watch.allDone(() => true).then(() => (isDone = true))
  await pause(5 * FAST.idlePollMs)
  assert.ok(!isDone)
  watch.close()
})
