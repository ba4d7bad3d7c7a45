import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import { missing, TESTED_ENGINES } from './stage/ability.ts'
import { attachLoop, mountDevice } from './stage/loop.ts'
import { succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const VOLUME_SIZE = 512 * 2 ** 20
/** Some thousand files in many directories that every clone has. */
const SOURCE = join(import.meta.dirname, '../../../node_modules/@typescript-eslint')

describe('a file system on a loop device', { skip: missing('fuse', 'root', 'loop', 'mkfs'), timeout: 300_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const engine of TESTED_ENGINES) {
    for (const args of [[], ['-k']]) {
      test(`keeps a copied tree over a remount: ${['--engine', engine, ...args].join(' ')}`, async () => {
        const own = new Stage()
        try {
          const name = await sheep.createVdi(VOLUME_SIZE)
          await writeTree(own, { sheep, engine, args, attach: [name] }, name)
          await checkTree(own, { sheep, engine, args, attach: [name] }, name)
        } finally {
          await own.close()
        }
      })
    }
  }
})

type Options = Parameters<typeof startSheepfs>[1]

async function writeTree(stage: Stage, options: Options, name: string): Promise<void> {
  const sheepfs = await startSheepfs(stage, options)
  const loop = await attachLoop(stage, sheepfs.volume(name))
  await succeed('mkfs.ext4', ['-q', loop.device])
  const directory = await mountDevice(stage, loop.device)
  await succeed('cp', ['-a', SOURCE, join(directory, 'tree')])
  await succeed('diff', ['-r', SOURCE, join(directory, 'tree')])
  await succeed('umount', [directory])
  await loop.detach()
  await sheepfs.stop()
}

async function checkTree(stage: Stage, options: Options, name: string): Promise<void> {
  const sheepfs = await startSheepfs(stage, options)
  const loop = await attachLoop(stage, sheepfs.volume(name))
  const report = await succeed('e2fsck', ['-f', '-n', loop.device])
  assert.doesNotMatch(report, /FILE SYSTEM WAS MODIFIED|errors/i)
  const directory = await mountDevice(stage, loop.device)
  await succeed('diff', ['-r', SOURCE, join(directory, 'tree')])
}
