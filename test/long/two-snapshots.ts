/*
 * Two snapshots of one VDI at the same moment, ours and ours, ours and dog's, while a writer goes on: every byte that was
 * confirmed is in the VDI, or in what the error of a snapshot names. Needs dog in the PATH. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { realWorld } from '../../src/daemon/real-world.ts'
import { errorText, isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { succeed } from '../e2e/stage/program.ts'
import { startSheep, type Sheep } from '../e2e/stage/sheep.ts'
import { Stage } from '../e2e/stage/stage.ts'

const ROUNDS = 50
const BLOCK = 4096
const log = silentLogger()
const limit = { timeout: 1_800_000 }

let stage: Stage
let sheep: Sheep
let clients: readonly [Cluster, Cluster, Cluster]

before(async () => {
  stage = new Stage()
  sheep = await startSheep(stage)
  clients = [newClient(), newClient(), newClient()]
  for (const cluster of clients) await cluster.open()
})
after(async () => {
  for (const cluster of clients) cluster.close()
  await stage.close()
})

function newClient(): Cluster {
  return new Cluster({ world: realWorld, addresses: [sheep.address], log })
}

type Snapshot = (vdi: string, tag: string) => Promise<unknown>

const ours =
  (client: 0 | 1): Snapshot =>
  (vdi, tag) =>
    snapshotVdi(clients[client], Buffer.from(vdi), tag)
const dogs: Snapshot = (vdi, tag) => {
  const { host, port } = sheep.address
  return succeed('dog', ['vdi', 'snapshot', '-s', tag, vdi, '-a', host, '-p', String(port)])
}

/** Resolves with what an error says of a VDI that went back; others do not lose anything. */
async function taken(snapshot: Promise<unknown>): Promise<string | undefined> {
  try {
    await snapshot
    return undefined
  } catch (error) {
    return isSheepfsError(error, 'stale') ? errorText(error) : undefined
  }
}

/** Writes numbers, and confirms each, until it is told to stop or the volume has gone. Resolves with the last confirmed. */
async function writeNumbers(vdi: string, stop: AbortSignal): Promise<number> {
  const volume = await openVolume(clients[2], { name: Buffer.from(vdi) }, { log })
  let confirmed = 0
  try {
    for (let number = 1; !stop.aborted; number++) {
      const block = Buffer.alloc(BLOCK)
      block.writeUInt32LE(number)
      await volume.write(0, block)
      await volume.sync()
      confirmed = number
    }
  } catch (error) {
    if (!isSheepfsError(error, 'stale')) throw error
  }
  await volume.close().catch(() => undefined)
  return confirmed
}

async function numberIn(vdi: string, snapId?: number): Promise<number> {
  const spec = { name: Buffer.from(vdi), ...(snapId === undefined ? {} : { snapId }) }
  const volume = await openVolume(clients[0], spec, { log, readOnly: true })
  const block = Buffer.alloc(BLOCK)
  await volume.read(0, block)
  await volume.close()
  return block.readUInt32LE()
}

for (const [who, first, second] of [
  ['ours and ours', ours(0), ours(1)],
  ["ours and dog's", ours(0), dogs],
] as const) {
  test(`${ROUNDS} times two snapshots at once, ${who}: nothing is lost unsaid`, limit, async (t) => {
    let said = 0
    for (let round = 0; round < ROUNDS; round++) {
      const vdi = await sheep.createVdi(64 * 2 ** 20)
      const stop = new AbortController()
      const writing = writeNumbers(vdi, stop.signal)
      await pause(20)
      const errors = await Promise.all([
        taken(first(vdi, 'first')),
        pause((round % 10) * 3).then(() => taken(second(vdi, 'second'))),
      ])
      await pause(20)
      stop.abort()
      const confirmed = await writing
      const error = errors.find((text) => text !== undefined)
      if (error !== undefined) said++
      const holder = error === undefined ? undefined : Number(/@(\d+)"\. Clone/.exec(error)?.[1])
      const found = Math.max(await numberIn(vdi), holder === undefined ? 0 : await numberIn(vdi, holder))
      assert.ok(found >= confirmed, `round ${round}: ${found} found, ${confirmed} confirmed; ${error ?? 'no error'}`)
    }
    t.diagnostic(`${said} of ${ROUNDS} went back, and said so`)
  })
}
