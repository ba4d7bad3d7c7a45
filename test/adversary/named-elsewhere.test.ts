import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { guardedWorld } from '../../src/daemon/guarded-world.ts'
import { realWorld } from '../../src/daemon/real-world.ts'
import { isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { encodeNodeRecord, parseAddr } from '../../src/wire/node-record.ts'
import { Result, RspNode } from '../../src/wire/sd-proto.ts'
import { lambCluster } from '../volume/manage/lamb-cluster.ts'
import { on, replace } from './lie.ts'
import { RewritingProxy } from './rewriting-proxy.ts'

const WITH_LIMIT = { timeout: 60_000 }
/** Some host that has nothing to do with the cluster. */
const NEIGHBOUR = '127.0.0.99'

/** A host that counts who connects to it. */
async function neighbour(context: TestContext): Promise<{ address: Address; count: () => number }> {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  })
  context.after(() => server.close())
  server.listen(0, NEIGHBOUR)
  await once(server, 'listening')
  return { address: { host: NEIGHBOUR, port: (server.address() as AddressInfo).port }, count: () => connections }
}

/** A client of a sheep whose node list has the neighbour too. */
async function clientOf(context: TestContext, other: Address, networks: readonly string[]): Promise<Cluster> {
  const { cluster } = await lambCluster(context)
  assert.ok(cluster.homePeer)
  const proxy = await RewritingProxy.start(context, cluster.homePeer)
  const record = {
    addr: parseAddr(other.host) ?? new Uint8Array(16),
    port: other.port,
    nrVnodes: 64,
    zone: 9,
    space: 0,
  }
  const lie = on('GET_NODE_LIST', (answer) => {
    RspNode.nrNodes.set(answer.header, 2)
    replace(answer, Result.SUCCESS, Buffer.concat([answer.payload, encodeNodeRecord(record)]))
    return undefined
  })
  proxy.lie = (answer) => lie(answer, 0)
  const world = guardedWorld(realWorld, networks)
  const client = new Cluster({ world, addresses: [proxy.address], log: silentLogger() })
  context.after(() => {
    client.close()
  })
  await client.open()
  return client
}

test('a host that a sheep names as its like is connected to', WITH_LIMIT, async (context) => {
  const { address, count } = await neighbour(context)
  await clientOf(context, address, [])
  assert.ok(count() > 0)
})

test('one that is in none of the networks is not, whatever a sheep says', WITH_LIMIT, async (context) => {
  const { address, count } = await neighbour(context)
  const client = await clientOf(context, address, ['127.0.0.0/30', 'fd00::/8'])
  await assert.rejects(client.setAddresses([address]), (error) => {
    assert.ok(isSheepfsError(error, 'unreachable'), String(error))
    assert.match(error.message, /^sheep 127\.0\.0\.99:\d+: it is in none of the networks of the configuration$/)
    return true
  })
  assert.equal(count(), 0)
})
