import assert from 'node:assert/strict'
import { open, stat, writeFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { attachLoop } from './stage/loop.ts'
import { run, succeed } from './stage/program.ts'
import { startSheep, type Sheep } from './stage/sheep.ts'
import { startSheepfs } from './stage/sheepfs.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const CACHES = [
  { name: 'page cache off', args: [] },
  { name: 'page cache on', args: ['-k'] },
]

describe('a volume that grows', { skip: missing('fuse', 'root', 'loop'), timeout: 120_000 }, () => {
  const stage = new Stage()
  let sheep: Sheep
  before(async () => {
    sheep = await startSheep(stage)
  })
  after(() => stage.close())

  for (const cache of CACHES) {
    test(`makes the loop device on it larger, whoever grew it: ${cache.name}`, async () => {
      const name = await sheep.createVdi(64 * MIB)
      const sheepfs = await startSheepfs(stage, { sheep, attach: [name], args: cache.args })
      const file = sheepfs.volume(name)
      const loop = await attachLoop(stage, file)

      await succeed('truncate', ['--size=80M', file])
      assert.equal(await capacity(loop.device), 80 * MIB)
      const shrink = await run('truncate', ['--size=10M', file])
      assert.match(shrink.stderr, /not permitted/)

      await sheep.resizeVdi(name, 128 * MIB)
      await (await open(file)).close() // whoever opens it makes sheepfs look
      while ((await stat(file)).size !== 128 * MIB) await pause(20)
      assert.equal(await capacity(loop.device), 128 * MIB)
      await succeed('dd', ['if=/dev/urandom', `of=${loop.device}`, 'bs=1M', 'seek=126', 'count=2', 'conv=fsync'])
      await succeed('cmp', ['-n', String(2 * MIB), '-i', String(126 * MIB), loop.device, file])
      await loop.detach()
      await sheepfs.stop()
    })
  }

  test('keeps its size when more is written to it than fits into it: page cache on', async () => {
    const size = 8 * MIB
    const name = await sheep.createVdi(size)
    const sheepfs = await startSheepfs(stage, { sheep, attach: [name], args: ['-k'] })
    const path = sheepfs.volume(name)
    for (const [position, length] of [
      [size - 4096, 8192], // one request of the kernel, of which one half fits
      [size, 4096],
    ] as const) {
      const file = await open(path, 'r+')
      await file.write(Buffer.alloc(length, 7), 0, length, position)
      await assert.rejects(file.sync(), { code: 'ENOSPC' })
      while ((await stat(path)).size !== size) await pause(20)
      const { bytesRead, buffer } = await file.read(Buffer.alloc(8192), 0, 8192, size - 4096)
      assert.deepEqual(buffer.subarray(0, bytesRead), Buffer.alloc(4096, 7))
      await file.close().catch(() => undefined) // tells the same once more
    }
    await sheepfs.stop()
  })

  test('says at once that more is written to it than fits into it: page cache switched on', async () => {
    const size = 8 * MIB
    const name = await sheep.createVdi(size)
    const sheepfs = await startSheepfs(stage, { sheep, attach: [name] })
    await writeFile(sheepfs.path('config/page_cache'), '1')
    const path = sheepfs.volume(name)
    const file = await open(path, 'r+')
    assert.equal((await file.write(Buffer.alloc(8192, 7), 0, 8192, size - 4096)).bytesWritten, 4096)
    await assert.rejects(file.write(Buffer.alloc(4096, 7), 0, 4096, size), { code: 'ENOSPC' })
    assert.equal((await file.stat()).size, size)
    await file.close()
    await sheepfs.stop()
  })
})

/** What the loop device has after it has looked at its file again. */
async function capacity(device: string): Promise<number> {
  await succeed('losetup', ['--set-capacity', device])
  return Number(await succeed('blockdev', ['--getsize64', device]))
}
