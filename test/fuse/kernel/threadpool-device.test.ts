import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants, openSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { mountDevice } from '../../../src/fuse/kernel/kernel-mount.ts'
import { closeDevice } from '../../../src/fuse/kernel/open-device.ts'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { ThreadpoolDevice } from '../../../src/fuse/kernel/threadpool-device.ts'
import { silentLogger } from '../../../src/log.ts'
import { Stage } from '../../e2e/stage/stage.ts'
import { MemoryTree } from '../memory-tree.ts'
import { WITH_MOUNT } from './memory-mount.ts'

for (const [name, flag] of [
  ['a blocking', 0],
  ['a non-blocking', constants.O_NONBLOCK],
] as const) {
  test(`without native code ${name} descriptor is served through the thread pool`, WITH_MOUNT, async (t) => {
    const stage = new Stage()
    t.after(() => stage.close())
    const path = await stage.mountpoint()
    const fd = openSync('/dev/fuse', constants.O_RDWR | flag)
    stage.defer(() => {
      closeDevice(fd)
    })
    const mount = await mountDevice(fd, {
      mountpoint: path,
      source: 'threadpool',
      allowOther: false,
      openers: () => [],
    })
    stage.defer(() => mount.detach())
    const tree = new MemoryTree(4 << 20)
    const log = silentLogger()
    const session = new Session({ tree, device: new ThreadpoolDevice(fd), log, writeBack: false, generation: 0 })
    session.start()
    await session.ready
    const volume = join(path, 'volume/test')
    const data = randomBytes(3 << 20)
    await writeFile(volume, data, { flag: 'r+' })
    assert.ok(tree.volume.content.subarray(0, data.length).equals(data))
    assert.ok((await readFile(volume)).equals(tree.volume.content))
    await mount.unmount()
    assert.equal(await session.ended, 'unmounted')
  })
}
