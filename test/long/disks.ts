/*
 * A disk is unplugged and plugged in again ten times (dog node md, in the PATH) on nodes with several disks, while fio writes
 * and verifies, and while writers write that know the version of each block. A bare connection loses some. See README.md in
 * this folder.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { silentLogger } from '../../src/log.ts'
import { addressText, type Address } from '../../src/sheep/address.ts'
import type { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { succeed } from '../e2e/stage/program.ts'
import { startSheepfs } from '../e2e/stage/sheepfs.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { bareStore } from './stage/bare-store.ts'
import { BlockLedger } from './stage/block-ledger.ts'
import { lacksNodes, RealNodes } from './stage/real-nodes.ts'
import { verifyWithFio } from './stage/verify-load.ts'

const TIMES = 10
/** So much that a recovery takes half a second. */
const SIZE = 2 ** 30
const WRITERS = 16
const CALM_MS = 3_000
const AWAY_MS = 2_000
/** A turn of unplugging and plugging in takes some ten seconds. */
const SECONDS = 120
const limit = { timeout: 1_800_000 }

async function dogNodeMd(node: Address, ...args: readonly string[]): Promise<string> {
  return succeed('dog', ['node', 'md', ...args, '-a', node.host, '-p', String(node.port)])
}

/** The disks of a node, by their paths. */
async function disksOf(node: Address): Promise<string[]> {
  const table = await dogNodeMd(node, 'info')
  return [...table.matchAll(/\s(\/\S+)$/gm)].flatMap(([, path]) => path ?? [])
}

/** Does what dog would ask about first. Errors: the node has not done it. */
async function change(node: Address, how: 'plug' | 'unplug', disk: string): Promise<void> {
  await dogNodeMd(node, how, '--force', disk)
  const isThere = (await disksOf(node)).includes(disk)
  assert.equal(isThere, how === 'plug', `${addressText(node)} does not ${how} ${disk}`)
}

/** Takes one disk of each node in turn away, and gives it back. */
async function changeDisks(nodes: RealNodes): Promise<void> {
  for (let turn = 0; turn < TIMES; turn++) {
    const node = nodes.at(turn % nodes.count)
    const disks = await disksOf(node)
    const disk = disks[turn % disks.length] ?? assert.fail(`${addressText(node)} has no disk`)
    assert.ok(disks.length > 1, `${addressText(node)} has only ${disk}`)
    await pause(CALM_MS)
    await change(node, 'unplug', disk)
    await pause(AWAY_MS)
    await change(node, 'plug', disk)
    await nodes.whole()
  }
}

describe(`a disk that is unplugged and plugged in ${TIMES} times`, { skip: lacksNodes }, () => {
  const stage = new Stage()
  let nodes: RealNodes
  let cluster: Cluster
  before(async () => {
    nodes = await RealNodes.find()
    cluster = await nodes.client(stage)
  })
  after(() => stage.close())

  const withVdi = async <T>(work: (name: string, vid: number) => Promise<T>): Promise<T> => {
    const name = `sheepfs-test-${randomBytes(6).toString('hex')}`
    const { vdiId } = await createVdi(cluster, { name, size: SIZE })
    const result = await work(name, vdiId)
    await deleteVdi(cluster, [{ name: Buffer.from(name) }], () => undefined)
    return result
  }

  test('costs nothing that was written: fio', limit, async (t) => {
    await withVdi(async (name) => {
      const sheepfs = await startSheepfs(stage, { sheep: { address: nodes.at(0) }, attach: [name] })
      const load = verifyWithFio(sheepfs.volume(name), { size: SIZE, seconds: SECONDS, jobs: 4 })
      load.catch(() => undefined) // seen below
      await changeDisks(nodes)
      t.diagnostic(await load)
      await sheepfs.stop()
    })
  })

  for (const isBare of [false, true]) {
    test(
      isBare ? 'costs a bare connection what it wrote' : 'costs nothing that was written: blocks by their versions',
      limit,
      async (t) => {
        await withVdi(async (name, vid) => {
          const volume = await openVolume(cluster, { name: Buffer.from(name) }, { log: silentLogger() })
          const ledger = new BlockLedger(SIZE)
          await ledger.fill(volume)
          const stop = new AbortController()
          const store = isBare ? await bareStore(stage, nodes.at(0), vid) : volume
          const writing = ledger.overwrite(store, 1, stop.signal, { writers: WRITERS })
          writing.catch(() => undefined) // seen below
          await changeDisks(nodes)
          stop.abort()
          await writing
          const wrong: number[] = []
          for (const gateway of nodes.addresses) wrong.push(await ledger.wrong(await bareStore(stage, gateway, vid)))
          t.diagnostic(`${ledger.writes} writes; wrong blocks, by gateway: ${wrong.join(', ')}`)
          await volume.close()
          if (isBare) assert.notEqual(Math.max(...wrong), 0)
          else assert.equal(Math.max(...wrong), 0)
        })
      },
    )
  }
})
