/*
 * Two copies on four real nodes: two nodes are dead for a minute, a holder is stopped, home is stopped, or cut off. No request
 * fails, and the longest that reads and writes took is told. See README.md in this folder.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { createLogger } from '../../src/log.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { Random } from '../sheep/random.ts'
import { BlockLedger, type BlockStore } from './stage/block-ledger.ts'
import { lacksNodes, RealNodes, type NodeVerb } from './stage/real-nodes.ts'

const SIZE = 128 * 2 ** 20
const BLOCK = 4096
const OBJECT = 2 ** 22
const COPIES = 2
const READERS = 4
/** So many that those who wait for one sheep could keep all threads of home busy. */
const WRITERS = 64
const DEAD_MS = 60_000
/** A sheep that recovers may die of another one that joins (seen: a segmentation fault after GET_HASH). */
const BETWEEN_MS = 3_000
const STOPPED_MS = 40_000
const CUT_OFF_MS = 90_000
const CALM_MS = 5_000
const limit = { timeout: 900_000 }
/** Of what the client does about it. */
const log = createLogger({ name: 'client', level: 'debug', format: 'text' })

/** The longest that a request took. */
interface Longest {
  ms: number
  /** When it began. */
  at: number
}

/** Knows the longest read and write. Nobody can write what a sheep holds that is stopped: how long that takes is not of interest. */
class TimedStore implements BlockStore {
  readonly #store: BlockStore
  readonly #isHeld: (position: number) => boolean
  readonly read = (position: number, into: Uint8Array): Promise<unknown> =>
    timed(this.longestRead, () => this.#store.read(position, into))
  readonly write = (position: number, data: Uint8Array): Promise<unknown> =>
    this.#isHeld(position)
      ? this.#store.write(position, data)
      : timed(this.longestWrite, () => this.#store.write(position, data))
  readonly longestRead: Longest = { ms: 0, at: 0 }
  readonly longestWrite: Longest = { ms: 0, at: 0 }

  constructor(store: BlockStore, isHeld: (position: number) => boolean) {
    this.#store = store
    this.#isHeld = isHeld
  }
}

async function timed(longest: Longest, work: () => Promise<unknown>): Promise<void> {
  const at = performance.now()
  await work()
  const ms = Math.round(performance.now() - at)
  if (ms > longest.ms) Object.assign(longest, { ms, at })
}

/** What happens to the nodes; resolves when it is over. */
type Befall = (nodes: RealNodes) => Promise<void>

async function twoDie(nodes: RealNodes): Promise<void> {
  for (const number of [2, 3]) await nodes.tell('kill', number)
  await pause(DEAD_MS)
  for (const number of [2, 3]) {
    await nodes.tell('start', number)
    await pause(BETWEEN_MS)
  }
  await nodes.whole()
}

function isStopped(number: number): Befall {
  return absence(number, ['stop', STOPPED_MS, 'continue'])
}

function isCutOff(number: number): Befall {
  return absence(number, ['cut', CUT_OFF_MS, 'join'])
}

function absence(number: number, [begin, ms, end]: readonly [NodeVerb, number, NodeVerb]): Befall {
  return async (nodes) => {
    await nodes.tell(begin, number)
    await pause(ms)
    await nodes.tell(end, number)
    await pause(CALM_MS)
  }
}

/** Reads and writes while something happens to the nodes; every second writer nothing that a node which is absent then holds. */
async function go(t: TestContext, befall: Befall, absent?: number): Promise<{ store: TimedStore; wrong: number }> {
  const stage = new Stage()
  try {
    const nodes = await RealNodes.find()
    await nodes.whole()
    const cluster = await nodes.client(stage, { addresses: [nodes.at(0)], log })
    const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
    const { vdiId } = await createVdi(cluster, { name, size: SIZE, redundancy: { kind: 'copies', copies: COPIES } })
    const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log })
    const ledger = new BlockLedger(SIZE)
    await ledger.fill(volume)
    const holds = absent === undefined ? () => false : await nodes.holds(absent, COPIES)
    const isHeld = (position: number): boolean => holds(dataOid(vdiId, Math.floor(position / OBJECT)))
    const isMeant = (position: number, writer: number): boolean => writer % 2 === 0 || !isHeld(position)
    const store = new TimedStore(volume, isHeld)
    const stop = new AbortController()
    const writing = ledger.overwrite(store, 1, stop.signal, { writers: WRITERS, isMeant })
    const busy = Promise.all([writing, readAtRandom(store, stop.signal)])
    busy.catch(() => undefined) // seen below
    await pause(CALM_MS)
    const since = performance.now()
    await befall(nodes)
    stop.abort()
    await busy
    for (const [which, { ms, at }] of Object.entries({ read: store.longestRead, write: store.longestWrite })) {
      t.diagnostic(`longest ${which}: ${ms} ms, begun after ${Math.round(at - since)} ms`)
    }
    const wrong = await ledger.wrong(volume)
    await volume.close()
    await deleteVdi(cluster, [{ name: Buffer.from(name) }], () => undefined)
    return { store, wrong }
  } finally {
    await stage.close()
  }
}

async function readAtRandom(store: BlockStore, stop: AbortSignal): Promise<void> {
  const reader = async (seed: number): Promise<void> => {
    const random = new Random(seed)
    const into = Buffer.alloc(BLOCK)
    while (!stop.aborted) await store.read(random.below(SIZE / BLOCK) * BLOCK, into)
  }
  await Promise.all(Array.from({ length: READERS }, (_, seed) => reader(seed)))
}

describe('two copies on four nodes', { skip: lacksNodes }, () => {
  for (const [what, befall, most, absent] of [
    ['two nodes are dead for a minute', twoDie, {}, undefined],
    ['a holder that is not home is stopped', isStopped(1), { read: 2_000 }, 1],
    ['home is stopped', isStopped(0), { read: 15_000, write: 15_000 }, 0],
    ['home is cut off for 90 s', isCutOff(0), { read: 15_000, write: 15_000 }, 0],
  ] as const) {
    test(`${what}: nothing fails`, limit, async (t) => {
      const { store, wrong } = await go(t, befall, absent)
      assert.equal(wrong, 0)
      if ('read' in most) assert.ok(store.longestRead.ms < most.read, `a read took ${store.longestRead.ms} ms`)
      if ('write' in most) assert.ok(store.longestWrite.ms < most.write, `a write took ${store.longestWrite.ms} ms`)
    })
  }
})
