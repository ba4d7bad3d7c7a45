import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test } from 'node:test'
import { realWorld } from '../../src/daemon/real-world.ts'
import { SheepfsError } from '../../src/errors.ts'
import { Connection } from '../../src/sheep/connection.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { readObject } from '../../src/wire/object-ops.ts'
import { Opcode, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import { Random } from './random.ts'
import { LIES, type ScriptedSheep } from './scripted-sheep.ts'
import { clusterFor } from './staged-cluster.ts'

const LIMIT = { timeout: 30_000 }
const OBJECT = dataOid(7, 0)
const LENGTH = 3000
const ROUNDS = 300

/** A response to request 2, the first of a connection, with something changed at random; or just bytes. */
function spoilt(random: Random): Uint8Array {
  const response = new Uint8Array(SD_HEADER_SIZE + LENGTH)
  const view = new DataView(response.buffer)
  Rsp.opcode.set(view, Opcode.READ_OBJ)
  Rsp.id.set(view, 2)
  Rsp.dataLength.set(view, LENGTH)
  response.fill(0x55, SD_HEADER_SIZE)
  if (random.chance(0.3)) return random.bytes(random.below(4000))
  for (let changes = 1 + random.below(3); changes > 0; changes--) response[random.below(20)] = random.below(256)
  return response.subarray(0, random.chance(0.5) ? response.length : random.below(response.length))
}

test(
  'whatever bytes come back, a read gives the right data or an error, and nothing breaks',
  LIMIT,
  async (context) => {
    const seed = Number(process.env['SHEEPFS_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    context.diagnostic(`SHEEPFS_SEED=${seed}`)
    const random = new Random(seed)
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('data', () => {
        const bytes = spoilt(random)
        const at = random.below(bytes.length + 1)
        socket.write(bytes.subarray(0, at))
        setImmediate(() => socket.end(bytes.subarray(at)))
      })
    })
    context.after(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const options = { world: realWorld, connectTimeoutMs: 5000, deadlineMs: () => 5000, trimsZeros: () => false }
    for (let round = 0; round < ROUNDS; round++) {
      const connection = await Connection.open({ host: '127.0.0.1', port }, options, () => undefined)
      const into = new Uint8Array(LENGTH)
      const outcome = await connection.exchange(readObject(OBJECT, 0, LENGTH), into).catch((error: unknown) => error)
      if (outcome instanceof Error) assert.ok(outcome instanceof SheepfsError, outcome.stack)
      else if ((outcome as { result: number }).result === 0) assert.deepEqual(into, new Uint8Array(LENGTH).fill(0x55))
      connection.destroy(new SheepfsError('closed', 'next round'))
    }
  },
)

for (const lie of LIES) {
  test(`a gateway that lies (${lie}) loses its connection, and the data is right`, LIMIT, async (context) => {
    const { open, model, sheep } = await clusterFor(context)
    const [one] = sheep as [ScriptedSheep]
    const bytes = new Random(1).bytes(2048)
    model.create(OBJECT, 0, bytes)
    const cluster = await open()
    let isLying = true
    let connections = 0
    one.script = ({ opcode }) => {
      if (opcode !== Opcode.READ_OBJ || !isLying) return { kind: 'answer' }
      isLying = false
      connections = one.count('GET_CLUSTER_DEFAULT')
      return { kind: 'lie', lie }
    }
    const into = new Uint8Array(2048)
    await cluster.read(readObject(OBJECT, 0, 2048), { into })
    assert.deepEqual(into, bytes)
    assert.ok(one.count('GET_CLUSTER_DEFAULT') > connections)
  })
}
