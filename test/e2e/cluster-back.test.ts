import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readFile, writeFile, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { attachLoop, mountDevice } from './stage/loop.ts'
import { MortalLamb } from './stage/mortal-lamb.ts'
import { succeed } from './stage/program.ts'
import { startSheepfsd, tableOf, type MountTable, type Sheepfsd } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MOUNT = 'm'
/** A mount with an io_timeout. */
const HASTY = 'hasty'
const MIB = 2 ** 20
const NEEDS = { skip: missing('fuse', 'root', 'loop', 'mkfs'), timeout: 300_000 }

describe('what was there before the cluster went away', NEEDS, () => {
  const stage = new Stage()
  let lamb: MortalLamb
  let table: MountTable
  let hasty: MountTable
  let daemon: Sheepfsd
  let byHand: string
  let web: string
  before(async () => {
    lamb = await MortalLamb.start(stage)
    table = await tableOf(stage, MOUNT, lamb, [])
    hasty = await tableOf(stage, HASTY, lamb, [])
    daemon = await startSheepfsd(stage, { mounts: [table, { ...hasty, io_timeout: 1 }] })
    byHand = (await daemon.client.createVdi(MOUNT, { name: 'web', size: 32 * MIB })).name
    await daemon.client.attach(MOUNT, byHand, {})
    const file = join(table.mountpoint, 'volume', byHand)
    await succeed('mkfs.ext4', ['-q', file])
    web = await mountDevice(stage, (await attachLoop(stage, file)).device)
  })
  after(() => stage.close())

  for (const way of ['gone', 'stopped'] as const) {
    test(
      `is there when it comes back (${way}): data, open files, what is mounted, what is attached`,
      NEEDS,
      async () => {
        const content = randomBytes(MIB)
        await writeFile(join(web, 'written'), content)
        const half = await open(join(web, 'written'))
        await half.read(Buffer.alloc(1000), 0, 1000)
        await lamb.leave(way)
        let isDone = false
        const flushed = writeFile(join(web, 'meanwhile'), content, { flush: true }).then(() => (isDone = true))
        while ((await daemon.client.health()).status !== 'degraded') await pause(20)
        assert.equal(isDone, false)
        await lamb.comeBack()
        await flushed
        assert.deepEqual(await half.readFile(), content.subarray(1000))
        await half.close()
        assert.deepEqual(await readFile(join(web, 'meanwhile')), content)
        const direct = ['iflag=direct', 'bs=64k', 'status=none', 'of=/dev/null']
        for (const name of ['written', 'meanwhile']) await succeed('dd', [`if=${join(web, name)}`, ...direct])
        assert.deepEqual(
          (await daemon.client.volumes(MOUNT)).map(({ name }) => name),
          [byHand],
        )
        await daemon.serving(MOUNT)
      },
    )
  }

  test('a worker that dies meanwhile lets nothing wait longer than io_timeout', NEEDS, async () => {
    const { name } = await daemon.client.createVdi(HASTY, { name: 'left', size: MIB })
    await daemon.client.attach(HASTY, name, {})
    const path = join(hasty.mountpoint, 'volume', name)
    const [file, closed] = await Promise.all([openDirect(path), openDirect(path)])
    const read = (): Promise<number> => file.read(Buffer.alloc(4096), 0, 4096, 0).then(({ bytesRead }) => bytesRead)
    await file.write(Buffer.alloc(4096, 'a'), 0, 4096, 0)
    await lamb.leave('gone')
    const generation = await daemon.killWorker(HASTY)
    await assert.rejects(read(), { code: 'EIO' })
    await assert.rejects(file.write(Buffer.alloc(4096, 'b'), 0, 4096, 0), { code: 'EIO' })
    await assert.rejects(succeed('stat', [path]), /Input\/output error/)
    await closed.close()
    // what has no limit waits, and is done when the cluster is back
    await daemon.client.patchMount(HASTY, { io_timeout: 'forever' })
    const late = read()
    assert.equal(await Promise.race([late, pause(1500).then(() => 'waits')]), 'waits')
    await lamb.comeBack()
    assert.equal(await late, 4096)
    await daemon.serving(HASTY, generation)
    assert.equal((await daemon.client.mount(HASTY)).open_files, 1)
    await file.close()
    await daemon.client.detach(HASTY, name, false)
  })
})

/** A file whose reads and writes are requests each. */
function openDirect(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDWR | constants.O_DIRECT)
}
