import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileHandleNumbers } from '../../../src/fuse/kernel/file-handle-numbers.ts'
import { OpenFiles, type OpenHandle } from '../../../src/fuse/kernel/open-files.ts'
import { silentLogger } from '../../../src/log.ts'
import { MemoryTree } from '../memory-tree.ts'

const READ = { write: false }
const FIRST = { id: 2, pid: 1, isResent: false }
const log = silentLogger()

/** The open files of one session after the other, and what a supervisor knows of them. */
class Generations {
  readonly known = new Map<number, OpenHandle>()
  #generation = 0

  async next(): Promise<{ files: OpenFiles; tree: MemoryTree }> {
    const tree = new MemoryTree(4096)
    const files = new OpenFiles(tree, new FileHandleNumbers(++this.#generation), {
      opened: (handle) => this.known.set(handle.fh, handle),
      closed: ({ fh }) => this.known.delete(fh),
    })
    await files.restore([...this.known.values()], log)
    return { files, tree }
  }
}

test('a file that is open and idle is open for a successor, until the kernel closes it', async () => {
  const generations = new Generations()
  const first = await generations.next()
  const { fh } = await first.files.open(first.tree.volume, READ, FIRST)
  const second = await generations.next()
  assert.equal(second.tree.volume.opens, 1)
  assert.ok(second.files.find(fh))
  await second.files.release(fh, second.tree.volume.id)
  assert.equal(second.tree.volume.opens, 0)
  assert.equal((await generations.next()).tree.volume.opens, 0)
})

test('an open that was carried out and not answered counts once when it comes again', async () => {
  const generations = new Generations()
  const first = await generations.next()
  const { fh } = await first.files.open(first.tree.volume, READ, FIRST)
  const { files, tree } = await generations.next()
  assert.equal((await files.open(tree.volume, READ, { ...FIRST, pid: 1, isResent: true })).fh, fh)
  assert.equal(tree.volume.opens, 1)
  const other = await files.open(tree.volume, READ, { id: 4, pid: 1, isResent: true })
  assert.notEqual(other.fh, fh)
  assert.equal(tree.volume.opens, 2)
})

test('a close that was carried out and not answered changes nothing when it comes again', async () => {
  const generations = new Generations()
  const first = await generations.next()
  const { fh } = await first.files.open(first.tree.volume, READ, FIRST)
  await first.files.release(fh, first.tree.volume.id)
  const { files, tree } = await generations.next()
  await files.release(fh, tree.volume.id)
  assert.deepEqual([tree.volume.opens, generations.known.size], [0, 0])
})

test('what a session closes at its end stays open for a successor', async () => {
  const generations = new Generations()
  const first = await generations.next()
  await first.files.open(first.tree.volume, READ, FIRST)
  await first.files.closeAll()
  assert.equal((await generations.next()).tree.volume.opens, 1)
})

test('a file that is closed before it is restored, or while it is, is not open afterwards', async () => {
  const generations = new Generations()
  const first = await generations.next()
  const handles = await Promise.all([1, 2].map(() => first.files.open(first.tree.volume, READ, FIRST)))
  const known = [...generations.known.values()]
  const tree = new MemoryTree(4096)
  const files = new OpenFiles(tree, new FileHandleNumbers(2))
  const [before, meanwhile] = handles.map(({ fh }) => fh)
  await files.release(before ?? 0, tree.volume.id)
  const restored = files.restore(known, log)
  await files.release(meanwhile ?? 0, tree.volume.id)
  await restored
  assert.equal(tree.volume.opens, 0)
})
