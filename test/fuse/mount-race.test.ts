import assert from 'node:assert/strict'
import { mkdir, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { HeldDirectory, inheritedPath } from '../../src/fuse/held-directory.ts'
import { mountDevice } from '../../src/fuse/kernel/kernel-mount.ts'
import { closeDevice, openDevice } from '../../src/fuse/kernel/open-device.ts'
import { findMount, readMountTable, type MountEntry } from '../../src/fuse/mount-table.ts'
import { checkMountpoint } from '../../src/fuse/mountpoint.ts'
import { runProgram } from '../../src/fuse/run-program.ts'
import { detachMount } from '../../src/fuse/unmount.ts'
import { Stage } from '../e2e/stage/stage.ts'
import { mountMemory, WITH_MOUNT } from './kernel/memory-mount.ts'

const SWAPS = 30

test(
  'a mount that fails because a directory above it is swapped for a link leaves nothing mounted',
  WITH_MOUNT,
  async () => {
    const stage = new Stage()
    const [own, other] = [await stage.folder(), await stage.folder()]
    await mkdir(join(own, 'parent/tree'), { recursive: true })
    await mkdir(join(other, 'tree'))
    const parent = join(own, 'parent')
    const end = new AbortController()
    const swapping = (async () => {
      await symlink(other, join(own, 'link'))
      while (!end.signal.aborted) {
        await rename(parent, join(own, 'aside'))
        await rename(join(own, 'link'), parent)
        await rename(parent, join(own, 'link'))
        await rename(join(own, 'aside'), parent)
      }
    })()
    const source = `race-${process.pid}`
    try {
      for (let swap = 0; swap < SWAPS; swap++) {
        const fd = await openDevice()
        try {
          const options = { mountpoint: join(parent, 'tree'), source, allowOther: false, openers: () => [] }
          const mount = await mountDevice(fd, options).catch(() => undefined)
          const made = (await readMountTable()).filter((entry) => entry.source === source)
          assert.equal(made.length, mount ? 1 : 0, `swap ${swap}`)
          await detachUntilGone(made)
          mount?.close()
        } finally {
          closeDevice(fd)
        }
      }
    } finally {
      end.abort()
      await swapping
    }
    assert.deepEqual(
      (await readMountTable()).filter((entry) => entry.source === source),
      [],
    )
    await stage.close()
  },
)

/** Its place may move between a look and the next step, which is refused then. */
async function detachUntilGone(made: readonly MountEntry[]): Promise<void> {
  for (const { id } of made) {
    while ((await readMountTable()).some((entry) => entry.id === id)) await detachMount(id).catch(() => undefined)
  }
}

test('a held directory is mounted on where it is by now, not where its path leads', WITH_MOUNT, async () => {
  const stage = new Stage()
  const folder = await stage.folder()
  const [first, other] = [join(folder, 'first'), join(folder, 'other')]
  await mkdir(first)
  await mkdir(other)
  const held = await HeldDirectory.open(first)
  await rename(first, join(folder, 'moved'))
  await symlink(other, first)
  const { isSuccess, complaint } = await runProgram(
    'mount',
    ['-i', '-c', '-t', 'tmpfs', 'held', inheritedPath(3)],
    [held.fd],
  )
  assert.ok(isSuccess, complaint)
  await held.close()
  const made = await findMount(join(folder, 'moved'))
  assert.equal(made?.source, 'held')
  assert.equal(await findMount(other), undefined)
  await detachMount(made.id)
  assert.equal(await findMount(join(folder, 'moved')), undefined)
  await assert.rejects(HeldDirectory.open(first), { code: 'ENOTDIR' })
  await stage.close()
})

test('a mountpoint inside a tree of sheepfs is refused', WITH_MOUNT, async (t) => {
  const { path } = await mountMemory(t)
  await assert.rejects(checkMountpoint(join(path, 'volume')), {
    code: 'invalid',
    message: `mountpoint "${path}/volume" is inside the tree of mount "memory"`,
  })
})
