import assert from 'node:assert/strict'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { buildControlApp } from '../../../src/api/control-app.ts'
import { listenUnix } from '../../../src/api/listen-unix.ts'
import type { Status } from '../../../src/api/schema/status.ts'
import { findMount } from '../../../src/fuse/mount-table.ts'
import { silentLogger } from '../../../src/log.ts'
import { FakeSupervisor, fakeMount, fakeVdi } from '../../api/fake-supervisor.ts'
import { missing } from '../../e2e/stage/ability.ts'
import { run, succeed } from '../../e2e/stage/program.ts'
import { startSheep } from '../../e2e/stage/sheep.ts'
import { startSheepfsd } from '../../e2e/stage/sheepfsd.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { addressText } from '../../../src/sheep/address.ts'

const MOUNT = join(import.meta.dirname, '../../../src/cli/mount-sheepfs.js')

/** It was told to stop after the volume was attached. */
class StoppingSupervisor extends FakeSupervisor {
  override async status(): Promise<Status> {
    return { ...(await super.status()), state: 'stopping' }
  }
}

describe(
  'mount.sheepfs from an instance that begins to stop',
  { timeout: 60_000, skip: missing('root', 'fuse', 'loop', 'mkfs') },
  () => {
    const stage = new Stage()
    after(() => stage.close())

    test('undoes the mount, which the stop would wait for', async () => {
      const [mountpoint, runtime, directory] = [
        await stage.mountpoint(),
        await stage.folder(),
        await stage.mountpoint(),
      ]
      const sheep = await startSheep(stage)
      const vdi = await sheep.createVdi(16 << 20)
      const table = { name: 'tree', mountpoint, sheep: [addressText(sheep.address)], volumes: [vdi] }
      await startSheepfsd(stage, { mounts: [table] })
      const volume = join(mountpoint, 'volume', vdi)
      await succeed('mkfs.ext4', ['-q', volume])
      const supervisor = new StoppingSupervisor([fakeMount({ mountpoint })])
      supervisor.vdiTable.set(vdi, fakeVdi({ name: vdi }))
      await mkdir(join(runtime, 'cluster1'))
      const app = await buildControlApp({ supervisor, log: silentLogger(), version: '0' })
      const listening = await listenUnix(app, { path: join(runtime, 'cluster1/control.sock'), mode: 0o600 })
      stage.defer(() => listening.close())

      const env = { ...process.env, SHEEPFS_RUNTIME_DIR: runtime }
      const { status, stderr } = await run(process.execPath, [MOUNT, `cluster1/${vdi}`, directory], { env })

      assert.equal(stderr, 'mount.sheepfs: instance "cluster1" is stopping\n')
      assert.equal(status, 32)
      assert.equal(await findMount(directory), undefined)
      while ((await succeed('losetup', ['--associated', volume])) !== '') await pause(20) // the last to close it frees it
      assert.deepEqual(await supervisor.volumes('cluster1'), [])
    })
  },
)
