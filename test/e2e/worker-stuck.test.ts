import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { missing } from './stage/ability.ts'
import { run, succeed } from './stage/program.ts'
import { startLamb } from './stage/sheep.ts'
import { removeMount } from './stage/sheepfs.ts'
import { startSheepfsd, tableOf } from './stage/sheepfsd.ts'
import { Stage } from './stage/stage.ts'

const MIB = 2 ** 20
const MOUNT = 'm'

describe(
  'a worker that is killed while the kernel holds a thread of it',
  { skip: missing('fuse', 'root'), timeout: 120_000 },
  () => {
    const stage = new Stage()
    after(() => stage.close())

    test('has a successor all the same', async () => {
      const sheep = await startLamb(stage, ['--fault', 'silence,op=READ_OBJ,kind=data,skip=1,count=1'])
      const volume = await sheep.createVdi(MIB)
      const table = { ...(await tableOf(stage, MOUNT, sheep, [])), page_cache: true }
      const writer = await tableOf(stage, 'writer', sheep, [volume])
      const daemon = await startSheepfsd(stage, { mounts: [table, writer] })
      await succeed('dd', [
        'if=/dev/urandom',
        `of=${join(writer.mountpoint, 'volume', volume)}`,
        'bs=64k',
        'count=1',
        'oflag=direct',
        'conv=notrunc',
      ])
      await daemon.client.attach(MOUNT, volume, { read_only: true })
      const path = join(table.mountpoint, 'volume', volume)
      stage.defer(() => removeMount(table.mountpoint))
      const reading = run('dd', [`if=${path}`, 'of=/dev/null', 'bs=4k', 'count=1'])
      await delay(1000)
      const opening = run('cat', [path]) // tells the kernel that the content may have changed
      await delay(1000)
      const next = await daemon.killWorker(MOUNT)
      await daemon.serving(MOUNT, next)
      assert.deepEqual([(await reading).status, (await opening).status], [0, 0])
      assert.equal(await daemon.stop(), 0)
    })
  },
)
