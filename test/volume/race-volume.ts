import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { realWorld } from '../../src/daemon/real-world.ts'
import { silentLogger } from '../../src/log.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { createVdi } from '../../src/volume/manage/create-vdi.ts'
import { deleteVdi } from '../../src/volume/manage/delete-vdi.ts'
import { snapshotVdi } from '../../src/volume/manage/snapshot-vdi.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import type { Volume } from '../../src/volume/volume.ts'

const log = silentLogger()
const OBJECT_SHIFT = 20
const OBJECT = 2 ** OBJECT_SHIFT
const BLOCK = 4096

/**
 * The experiment of docs/sheepdog-protocol.md#5.7: writers allocate every object of a volume while another client takes
 * snapshots of it, each of which may overwrite index updates that were acknowledged. Fails unless a fresh client finds
 * every write.
 */
export async function raceSnapshots(
  address: Address,
  amount: { readonly objects: number; readonly writers: number; readonly snapshots: number },
): Promise<void> {
  const { objects, writers, snapshots } = amount
  await withVdi(address, objects, async (vdi) => {
    let next = 0
    let taken = 0
    const write = async (volume: Volume): Promise<void> => {
      for (let index = next++; index < objects; index = next++) await volume.write(index * OBJECT, block(index))
    }
    const takeSnapshots = (other: Cluster): Promise<void> =>
      repeat(snapshots, async () => {
        const due = (objects * (taken + 1)) / (snapshots + 1)
        while (next < due) await new Promise(setImmediate) // spread over the whole allocation
        await snapshotVdi(other, vdi, `s${taken++}`)
      })
    await withCluster(address, (other) =>
      withVolume(address, vdi, async (volume) => {
        await Promise.all([takeSnapshots(other), ...times(writers, () => write(volume))])
      }),
    )
    await withVolume(address, vdi, (volume) => expectBlocks(volume, objects, block))
  })
}

/**
 * The race of docs/sheepdog-protocol.md#5.6: objects are given back and written again at once, while the cluster still
 * removes what was given back. Fails unless every block is there right after its write, and at the end for a fresh
 * client.
 */
export async function raceDiscards(
  address: Address,
  amount: { readonly threads: number; readonly rounds: number },
): Promise<void> {
  const { threads, rounds } = amount
  await withVdi(address, threads, async (vdi) => {
    const work = async (volume: Volume, index: number): Promise<void> => {
      for (let round = 1; round <= rounds / threads; round++) {
        await volume.zero(index * OBJECT, OBJECT)
        await volume.write(index * OBJECT, block(index + round))
        await expectBlock(volume, index, block(index + round))
      }
    }
    await withVolume(address, vdi, (volume) => Promise.all(times(threads, (index) => work(volume, index))))
    await withVolume(address, vdi, (volume) => expectBlocks(volume, threads, (i) => block(i + rounds / threads)))
  })
}

function block(seed: number): Uint8Array {
  return new Uint8Array(BLOCK).fill(1 + (seed % 255))
}

async function expectBlocks(volume: Volume, count: number, expected: (index: number) => Uint8Array): Promise<void> {
  for (let index = 0; index < count; index++) await expectBlock(volume, index, expected(index))
}

async function expectBlock(volume: Volume, index: number, expected: Uint8Array): Promise<void> {
  const found = new Uint8Array(BLOCK)
  await volume.read(index * OBJECT, found)
  assert.deepEqual(found, expected, `object ${index}`)
}

/** A new VDI of `objects` objects; it goes with its snapshots. */
async function withVdi(address: Address, objects: number, work: (name: Uint8Array) => Promise<void>): Promise<void> {
  const text = `sheepfs-race-${randomBytes(6).toString('hex')}`
  const name = Buffer.from(text)
  await withCluster(address, async (cluster) => {
    await createVdi(cluster, { name: text, size: objects * OBJECT, blockSizeShift: OBJECT_SHIFT })
    await work(name)
    await deleteVdi(cluster, [{ name }], () => undefined)
  })
}

async function withCluster<T>(address: Address, work: (cluster: Cluster) => Promise<T>): Promise<T> {
  const cluster = new Cluster({ world: realWorld, addresses: [address], log })
  try {
    await cluster.open()
    return await work(cluster)
  } finally {
    cluster.close()
  }
}

/** A client of its own has the VDI attached for as long as `work` takes. */
function withVolume<T>(address: Address, name: Uint8Array, work: (volume: Volume) => Promise<T>): Promise<T> {
  return withCluster(address, async (cluster) => {
    const volume = await openVolume(cluster, { name }, { log })
    const result = await work(volume)
    await volume.close()
    return result
  })
}

function times<T>(count: number, work: (index: number) => Promise<T>): Promise<T>[] {
  return Array.from({ length: count }, (_, index) => work(index))
}

async function repeat(count: number, work: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) await work()
}
