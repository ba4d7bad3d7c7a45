import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EntryTable } from '../../../src/volume/index/entry-table.ts'
import { Random } from '../../sheep/random.ts'

const PAGE = 1024

/** A table over an array that stands for the cluster. */
class Staged {
  readonly stored: number[]
  readonly table: EntryTable
  readonly pieces: readonly number[]

  private constructor(stored: number[], table: EntryTable, pieces: readonly number[]) {
    this.stored = stored
    this.table = table
    this.pieces = pieces
  }

  static async over(stored: number[]): Promise<Staged> {
    const pieces: number[] = []
    const table = await EntryTable.load(stored.length, (first, into) => {
      pieces.push(into.length)
      into.set(stored.slice(first, first + into.length))
      return Promise.resolve()
    })
    return new Staged(stored, table, pieces)
  }

  publish(index: number, vid: number): void {
    this.stored[index] = vid
    this.table.set(index, vid)
  }

  check(): void {
    const { stored, table } = this
    assert.deepEqual([table.count, table.allocated], [stored.length, stored.filter((vid) => vid !== 0).length])
    for (const [index, vid] of stored.entries()) if (table.get(index) !== vid) assert.equal(table.get(index), vid)
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

test('entries are what was published', { timeout: 60_000 }, async () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = new Random(seed)
    const staged = await Staged.over(mixed(3 * PAGE + 100))
    const { table, stored } = staged
    for (let step = 0; step < 600; step++) {
      const from = random.below(stored.length)
      const vid = random.below(3)
      const act = random.pick(['next', 'publish', 'publish', 'run', 'rest', 'grow', 'reread'] as const)
      if (act === 'publish') staged.publish(from, vid)
      if (act === 'run') for (let i = from; i < Math.min(from + PAGE, stored.length); i++) staged.publish(i, vid)
      if (act === 'rest') for (let i = from - (from % PAGE); i < stored.length; i++) staged.publish(i, vid)
      if (act === 'grow' && step % 20 === 0) {
        stored.push(...new Array<number>(random.below(600)).fill(0))
        table.grow(stored.length)
      }
      if (act === 'reread') {
        stored[from] = vid // by another host
        await table.reread(from - (from % PAGE), PAGE)
      }
      for (const wanted of ['data', 'hole'] as const) {
        assert.equal(table.next(from, wanted), nextOf(stored, from, wanted), `seed ${seed}, step ${step}`)
      }
    }
    staged.check()
    assert.equal(table.get(stored.length), 0)
  }
})

test('an index is read in pieces', async () => {
  const staged = await Staged.over(mixed(150_000))
  assert.deepEqual(staged.pieces, [65_536, 65_536, 18_928])
  staged.check()
})

test('there may be none', async () => {
  const { table, pieces } = await Staged.over([])
  assert.deepEqual([table.next(0, 'hole'), table.get(0), pieces.length], [0, 0, 0])
  table.grow(5)
  table.set(4, 9)
  assert.deepEqual([table.next(0, 'data'), table.allocated], [4, 1])
})
