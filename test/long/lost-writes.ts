/*
 * A control for writes that go missing when sheep nodes die and rejoin: none of sheepfs but a connection. Blocks of a VDI
 * whose objects are all allocated (dog vdi create -P) are overwritten through one gateway, each again only after its
 * answer; at the end every block must hold what was acknowledged last. Kill and restart other nodes meanwhile:
 *
 *   node dist/test/long/lost-writes.js HOST:PORT VDI SECONDS [guarded]
 *
 * `guarded`: the same through the client of sheepfs, which keeps writes from being undone.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { parseAddress } from '../../src/sheep/address.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import type { Message, Response } from '../../src/wire/message.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { readObject, writeObject } from '../../src/wire/object-ops.ts'
import { Result } from '../../src/wire/sd-proto.ts'
import { getVdiInfo, parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import { openConnection } from '../e2e/stage/sheep.ts'

const BLOCK = 4096
const OBJECTS = 16
const BLOCKS_PER_OBJECT = 1024
const WRITERS = 8
const RECOVERY_MS = 20_000
const RETRY_MS = 200

const [address = '127.0.0.1:7000', name = 'test', seconds = '60', mode] = process.argv.slice(2)
const connection = await openConnection(parseAddress(address))
const cluster = new Cluster({ world: realWorld, addresses: [parseAddress(address)], log: silentLogger() })
await cluster.open()
const { vid, copies } = parseVdiAnswer(await connection.exchange(getVdiInfo({ name: Buffer.from(name) })))
const written = new Map<number, number>()
let version = 0

function place(block: number): { index: number; offset: number } {
  return { index: Math.floor(block / BLOCKS_PER_OBJECT), offset: (block % BLOCKS_PER_OBJECT) * BLOCK }
}

function send(message: Message): Promise<Response> {
  return mode === 'guarded' ? cluster.change(message, { copies }) : connection.exchange(message)
}

/** A writer owns the blocks whose number modulo WRITERS is its own: no two requests for one block at a time. */
async function overwrite(writer: number, until: number): Promise<void> {
  while (Date.now() < until) {
    const block = Math.floor((Math.random() * OBJECTS * BLOCKS_PER_OBJECT) / WRITERS) * WRITERS + writer
    const { index, offset } = place(block)
    const own = ++version
    const data = Buffer.alloc(BLOCK, own & 0xff)
    data.writeUInt32LE(own)
    while ((await send(writeObject(dataOid(vid, index), offset, data))).result !== Result.SUCCESS) {
      await pause(RETRY_MS)
    }
    written.set(block, own)
  }
}

async function readVersion(block: number): Promise<number> {
  const { index, offset } = place(block)
  const into = Buffer.alloc(BLOCK)
  while ((await connection.exchange(readObject(dataOid(vid, index), offset, BLOCK), into)).result !== Result.SUCCESS) {
    await pause(RETRY_MS)
  }
  return into.readUInt32LE()
}

const until = Date.now() + Number(seconds) * 1000
await Promise.all(Array.from({ length: WRITERS }, (_, writer) => overwrite(writer, until)))
await pause(RECOVERY_MS)
let lost = 0
for (const [block, expected] of written) {
  const found = await readVersion(block)
  if (found === expected) continue
  lost++
  console.log(`block ${block}: version ${expected} was acknowledged, version ${found} is there`)
}
console.log(`${version} writes, ${written.size} blocks, ${lost} lost`)
process.exit(lost === 0 ? 0 : 1)
