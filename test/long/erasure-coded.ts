/*
 * An erasure-coded VDI on a real cluster while as many nodes as it has parity strips die and come back, five times for each
 * seed: every block is what was acknowledged, through every gateway, and when parity has to stand in. The control writes through
 * a bare connection, and loses. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { silentLogger } from '../../src/log.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { Random } from '../sheep/random.ts'
import { bareStore } from './stage/bare-store.ts'
import { BlockLedger } from './stage/block-ledger.ts'
import { lacksNodes, RealNodes } from './stage/real-nodes.ts'

const { SHEEPFS_TEST_STRIPS: strips = '2:1', SHEEPFS_TEST_SEEDS: seeds = '1,2,3,4,5' } = process.env
const [data = 2, parity = 1] = strips.split(':').map(Number)
const ROUNDS = 5
const SIZE = 64 * 2 ** 20
const DOWN_MS = 4_000
/** Between joins: each can abort gateways under erasure-coded I/O (docs/sheepdog-protocol.md#10). */
const BETWEEN_MS = 3_000
const limit = { timeout: 1_800_000 }
const log = silentLogger()

interface Course {
  readonly stage: Stage
  readonly nodes: RealNodes
  readonly seed: number
  /** Nodes from this one on may die. */
  readonly firstMortal: number
}

/** Writes while nodes die and come back. Resolves with how many writes there were, and how many blocks are wrong, by who looks. */
async function live({ stage, nodes, seed, firstMortal }: Course, isBare: boolean): Promise<Record<string, number>> {
  await nodes.whole()
  const cluster = await nodes.client(stage)
  const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
  const { vdiId } = await createVdi(cluster, { name, size: SIZE, redundancy: { kind: 'strips', data, parity } })
  const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log })
  const ledger = new BlockLedger(SIZE)
  await ledger.fill(volume)
  const random = new Random(seed)
  const stop = new AbortController()
  const store = isBare ? await bareStore(stage, nodes.at(0), vdiId) : volume
  const writing = ledger.overwrite(store, seed, stop.signal)
  writing.catch(() => undefined) // seen below
  const victims = (): number[] => shuffled(nodes.count - firstMortal, random).map((n) => n + firstMortal)
  for (let round = 0; round < ROUNDS; round++) {
    await pause(random.below(4_000))
    const dying = victims().slice(0, parity)
    for (const number of dying) await nodes.tell('kill', number)
    await pause(DOWN_MS + random.below(4_000))
    for (const number of dying) {
      await nodes.tell('start', number)
      await pause(BETWEEN_MS)
    }
    await nodes.whole()
  }
  stop.abort()
  await writing
  await volume.sync()
  await nodes.whole()
  const wrong: Record<string, number> = { writes: ledger.writes, sheepfs: await ledger.wrong(volume) }
  for (const gateway of nodes.addresses) {
    wrong[`gateway ${gateway.port}`] = await ledger.wrong(await bareStore(stage, gateway, vdiId))
  }
  const away = victims().slice(0, parity)
  for (const number of away) await nodes.tell('kill', number)
  await pause(DOWN_MS)
  wrong[`nodes ${away.join(' and ')} away`] = await ledger.wrong(volume)
  for (const number of away) {
    await nodes.tell('start', number)
    await pause(BETWEEN_MS)
  }
  await nodes.whole()
  await volume.close()
  await deleteVdi(cluster, [{ name: Buffer.from(name) }], () => undefined)
  return wrong
}

/** The numbers below `count` in an order of the seed. */
function shuffled(count: number, random: Random): number[] {
  return Array.from({ length: count }, (_, n) => ({ n, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ n }) => n)
}

async function onStage<T>(work: (stage: Stage, nodes: RealNodes) => Promise<T>): Promise<T> {
  const stage = new Stage()
  try {
    return await work(stage, await RealNodes.find())
  } finally {
    await stage.close()
  }
}

function lost(wrong: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(wrong).filter(([who, count]) => who !== 'writes' && count > 0))
}

describe(`a VDI of ${strips}`, { skip: lacksNodes }, () => {
  for (const seed of seeds
    .split(',')
    .filter((text) => text !== '')
    .map(Number)) {
    test(`has no wrong block after ${ROUNDS} deaths and returns: seed ${seed}`, limit, async (t) => {
      await onStage(async (stage, nodes) => {
        const wrong = await live({ stage, nodes, seed, firstMortal: 0 }, false)
        t.diagnostic(JSON.stringify(wrong))
        assert.deepEqual(lost(wrong), {})
      })
    })
  }

  test('has wrong blocks when nothing is held back', limit, async (t) => {
    await onStage(async (stage, nodes) => {
      const wrong = await live({ stage, nodes, seed: 1, firstMortal: 1 }, true)
      t.diagnostic(JSON.stringify(wrong))
      assert.notDeepEqual(lost(wrong), {})
    })
  })
})
