/*
 * The object cache of clusters up to 0.9 (sheep started with and without -w): fio with 8 jobs verifies while it is off, on, and
 * switched 50 times, and the worker is killed in between. Afterwards the content is the same through every gateway. See
 * README.md in this folder.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { volumePath } from '../e2e/ordeal/file-system-load.ts'
import { useSheep, type Sheep } from '../e2e/stage/sheep.ts'
import { startSheepfsd, tableOf, type Sheepfsd } from '../e2e/stage/sheepfsd.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { bareStore } from './stage/bare-store.ts'
import { lacksNodes, RealNodes } from './stage/real-nodes.ts'
import { verifyWithFio } from './stage/verify-load.ts'

const SIZE = 64 * 2 ** 20
const PART = 2 ** 20
const JOBS = 8
const SWITCHES = 50
const SWITCHES_PER_KILL = 10
const BETWEEN_MS = 1_000
const KILLS = 5
const MOUNT = 'm'
const limit = { timeout: 1_800_000 }

/** Of all bytes. */
async function hashOf(read: (position: number, into: Buffer) => Promise<unknown>): Promise<string> {
  const hash = createHash('sha256')
  const into = Buffer.alloc(PART)
  for (let position = 0; position < SIZE; position += PART) {
    await read(position, into)
    hash.update(into)
  }
  return hash.digest('hex')
}

/** What the mount reads, past the page cache, after a fsync. */
async function contentOf(path: string): Promise<string> {
  const file = await open(path, constants.O_RDWR | constants.O_DIRECT)
  try {
    await file.sync()
    return await hashOf((position, into) => file.read(into, 0, into.length, position))
  } finally {
    await file.close()
  }
}

async function killWorkers(daemon: Sheepfsd): Promise<void> {
  for (let kill = 0; kill < KILLS; kill++) {
    await pause(5 * BETWEEN_MS)
    await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
  }
}

async function switchAndKill(daemon: Sheepfsd): Promise<void> {
  for (let turn = 1; turn <= SWITCHES; turn++) {
    await pause(BETWEEN_MS)
    await daemon.client.patchCache(MOUNT, { object_cache: turn % 2 === 1 })
    if (turn % SWITCHES_PER_KILL === 0) await daemon.serving(MOUNT, await daemon.killWorker(MOUNT))
  }
}

describe('a cluster of a release that may have an object cache', { skip: lacksNodes }, () => {
  const stage = new Stage()
  let nodes: RealNodes
  let sheep: Sheep
  before(async () => {
    nodes = await RealNodes.find()
    sheep = await useSheep(stage, nodes.at(0))
  })
  after(() => stage.close())

  for (const [what, isOn, befall, seconds] of [
    ['off', false, killWorkers, 40],
    ['on', true, killWorkers, 40],
    [`switched ${SWITCHES} times`, false, switchAndKill, 120],
  ] as const) {
    test(`gives no old byte while it is ${what}, and the same content through every gateway`, limit, async (t) => {
      const name = await sheep.createVdi(SIZE)
      const table = { ...(await tableOf(stage, MOUNT, sheep, [name])), object_cache: isOn }
      const daemon = await startSheepfsd(stage, { mounts: [table] })
      const path = volumePath(table.mountpoint, name)
      const load = verifyWithFio(path, { size: SIZE, seconds, jobs: JOBS })
      load.catch(() => undefined) // seen below
      await befall(daemon)
      t.diagnostic(await load)
      const content = await contentOf(path)
      const vid = await sheep.vidOf(name)
      for (const gateway of nodes.addresses) {
        const store = await bareStore(stage, gateway, vid)
        assert.equal(await hashOf(store.read.bind(store)), content, `through ${gateway.port}`)
      }
      assert.equal(await daemon.stop(), 0)
    })
  }
})
