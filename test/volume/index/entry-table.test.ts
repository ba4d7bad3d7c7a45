import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntryTable } from '../../../src/volume/index/entry-table.ts'
import { IndexMemory } from '../../../src/volume/index/index-memory.ts'
import { Random } from '../../sheep/random.ts'

const PAGE_BYTES = 4096
const PAGE = 1024

/** A table over an array that stands for the cluster; each read of it takes some turns. */
class Staged {
  readonly stored: number[]
  readonly memory: IndexMemory
  readonly table: EntryTable
  readonly #reading: { count: number; failure?: Error | undefined }
  /** By index, what was published while somebody waited for the entry. */
  readonly waitedFor = new Map<number, number[]>()

  static async over(stored: number[], memory = new IndexMemory(0)): Promise<Staged> {
    const reading: { count: number; failure?: Error } = { count: 0 }
    const read = async (first: number, count: number): Promise<Uint32Array> => {
      reading.count++
      const entries = Uint32Array.from(stored.slice(first, first + count))
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
      if (reading.failure) throw reading.failure
      return entries
    }
    const table = await EntryTable.load(stored.length, { read, memory })
    reading.count = 0
    return new Staged(stored, { memory, table, reading })
  }

  private constructor(
    stored: number[],
    { memory, table, reading }: { memory: IndexMemory; table: EntryTable; reading: { count: number } },
  ) {
    this.stored = stored
    this.memory = memory
    this.table = table
    this.#reading = reading
  }

  /** Since it was loaded. */
  get reads(): number {
    return this.#reading.count
  }

  set failure(error: Error | undefined) {
    this.#reading.failure = error
  }

  publish(index: number, vid: number): void {
    this.stored[index] = vid
    this.waitedFor.get(index)?.push(vid)
    this.table.set(index, vid)
  }

  get allocated(): number {
    return this.stored.filter((vid) => vid !== 0).length
  }
}

/** Entries of which each page is another mixture. */
function mixed(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i % (7 + (i >>> 10))) % 3)
}

/** What `next` is to find. */
function nextOf(stored: readonly number[], from: number, wanted: 'data' | 'hole'): number {
  const found = stored.findIndex((vid, i) => i >= from && (vid !== 0) === (wanted === 'data'))
  return found === -1 ? stored.length : found
}

test('entries are what the cluster has, whatever there is room for', { timeout: 60_000 }, async () => {
  for (const limit of [0, PAGE_BYTES, 3 * PAGE_BYTES, Infinity]) {
    for (let seed = 1; seed <= 4; seed++) {
      const random = new Random(seed)
      const staged = await Staged.over(mixed(3 * PAGE + 100), new IndexMemory(limit))
      const { table, stored } = staged
      const waiting: Promise<void>[] = []
      for (let step = 0; step < 400; step++) {
        const from = random.below(stored.length + 5)
        const wanted = random.pick(['data', 'hole'] as const)
        const act = random.pick(['get', 'get', 'next', 'publish', 'publish', 'run', 'grow', 'wait'] as const)
        if (act === 'publish') staged.publish(from % stored.length, random.below(3))
        if (act === 'run')
          for (let i = from & ~1023; i < Math.min(from | 1023, stored.length); i++) staged.publish(i, 5)
        if (act === 'grow' && step % 20 === 0) {
          stored.push(...new Array<number>(random.below(600)).fill(0))
          table.grow(stored.length)
        }
        if (act === 'wait') {
          await Promise.all(waiting.splice(0))
          staged.waitedFor.clear()
        }
        if (act === 'get' || act === 'next') {
          const isGet = act === 'get'
          const found = isGet ? table.get(from) : table.next(from, wanted)
          const expected = (): number => (isGet ? (stored[from] ?? 0) : nextOf(stored, from, wanted))
          if (typeof found === 'number') assert.equal(found, expected())
          else if (isGet) {
            const possible = [...(staged.waitedFor.get(from) ?? []), expected()]
            staged.waitedFor.set(from, possible)
            waiting.push(
              found.then((value) => {
                assert.ok(possible.includes(value))
              }),
            )
          } else assert.equal(await found, expected())
        }
      }
      await Promise.all(waiting)
      for (let i = seed; i < stored.length; i += 13)
        assert.equal(await table.get(i), stored[i], `seed ${seed}, entry ${i}`)
      assert.equal(table.allocated, staged.allocated)
      assert.ok(staged.memory.bytes <= limit)
    }
  }
})

test('what is alike takes no memory: volumes that are empty, whole or copied as a whole', async () => {
  const memory = new IndexMemory(PAGE_BYTES)
  for (const vid of [0, 7]) {
    const staged = await Staged.over(new Array<number>(2 ** 20).fill(vid), memory)
    assert.deepEqual([memory.bytes, staged.reads], [0, 0])
    assert.equal(staged.table.allocated, vid === 0 ? 0 : 2 ** 20)
    assert.equal(await staged.table.get(2 ** 20 - 1), vid)
    for (let i = PAGE; i < 3 * PAGE; i++) {
      staged.publish(i, 9)
      assert.ok(memory.bytes <= PAGE_BYTES)
    }
    assert.deepEqual([memory.bytes, staged.reads], [0, 0])
    assert.equal(await staged.table.next(0, vid === 0 ? 'data' : 'hole'), vid === 0 ? PAGE : 2 ** 20)
  }
})

test('a published entry is not undone by a read that began before', async () => {
  const staged = await Staged.over(mixed(2 * PAGE))
  const reading = staged.table.get(5)
  staged.publish(5, 9)
  assert.equal(await reading, 9)
  assert.equal(staged.reads, 1)
  assert.equal(await staged.table.get(5), 9)
})

test('an entry that is read again is what others have made of it', async () => {
  const staged = await Staged.over(mixed(2 * PAGE), new IndexMemory(Infinity))
  staged.stored.fill(3, PAGE + 1, PAGE + 4)
  await staged.table.reread(PAGE, PAGE)
  assert.deepEqual([await staged.table.get(PAGE + 1), staged.table.allocated], [3, staged.allocated])
})

test('a read that fails is told to who needs it, and done again', async () => {
  const staged = await Staged.over(mixed(2 * PAGE))
  staged.failure = new Error('away')
  await assert.rejects(Promise.resolve(staged.table.get(5)), /away/)
  await assert.rejects(Promise.resolve(staged.table.next(5, 'data')), /away/)
  staged.publish(6, 8)
  await new Promise((resolve) => setTimeout(resolve, 20))
  staged.failure = undefined
  assert.equal(await staged.table.get(6), 8)
  assert.equal(staged.table.allocated, staged.allocated)
})

test('what nobody uses makes room first', async () => {
  const memory = new IndexMemory(4 * PAGE_BYTES)
  const used = await Staged.over(mixed(2 * PAGE), memory)
  const others = await Promise.all(Array.from({ length: 20 }, () => Staged.over(mixed(PAGE), memory)))
  for (const other of others) {
    await used.table.get(1)
    await used.table.get(PAGE + 1)
    await other.table.get(1)
  }
  assert.ok(used.reads < others.reduce((sum, { reads }) => sum + reads, 0) / 4)
  assert.ok(memory.bytes <= 4 * PAGE_BYTES)
})
