import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs, type SheepfsOptions } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const VOLUME_SIZE = 96 * MIB
/** What dd writes at once, and how many times; the odd one crosses pages and objects everywhere. */
const BLOCKS = [
  { size: MIB, count: 64 },
  { size: 4096, count: 4096 },
  { size: 777, count: 8192 },
]
const CACHES = [
  { name: 'page cache off', args: [] },
  { name: 'page cache on', args: ['-k'] },
]

describe('what dd wrote', { skip: missing('fuse', 'root'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  let source: string
  before(async () => {
    sheep = await startSheep(stage)
    source = join(await stage.folder(), 'random')
    await succeed('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', 'count=64', 'status=none'])
  })
  after(() => stage.close())

  for (const engine of TESTED_ENGINES) {
    for (const cache of CACHES) {
      for (const block of BLOCKS) {
        test(`is there after a remount: ${engine}, ${cache.name}, bs=${block.size}`, async () => {
          await roundTrip(stage, { sheep, engine, args: cache.args }, { ...block, source })
        })
      }
    }
  }
})

async function roundTrip(
  stage: Stage,
  options: SheepfsOptions,
  block: { size: number; count: number; source: string },
): Promise<void> {
  const name = await options.sheep.createVdi(VOLUME_SIZE)
  const bytes = String(block.size * block.count)
  const dd = [`bs=${block.size}`, `count=${block.count}`, 'status=none']
  const first = await startSheepfs(stage, { ...options, attach: [name] })
  await succeed('dd', [`if=${block.source}`, `of=${first.volume(name)}`, 'conv=fsync', ...dd])
  await succeed('cmp', ['-n', bytes, block.source, first.volume(name)])
  await first.stop()

  const second = await startSheepfs(stage, { ...options, attach: [name] })
  await succeed('cmp', ['-n', bytes, block.source, second.volume(name)])
  const copy = `${block.source}.copy`
  await succeed('dd', [`if=${second.volume(name)}`, `of=${copy}`, ...dd])
  await succeed('cmp', ['-n', bytes, block.source, copy])
  const rest = String(VOLUME_SIZE - block.size * block.count)
  await succeed('cmp', ['-n', rest, '-i', `${bytes}:0`, second.volume(name), '/dev/zero'])
  const size = await succeed('stat', ['-c', '%s', second.volume(name)])
  assert.equal(Number(size), VOLUME_SIZE)
  await second.stop()
}
