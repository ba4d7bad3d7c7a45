import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { deviceUsers } from '../../../src/daemon/device/device-users.ts'
import type { LoopState } from '../../../src/daemon/device/loop-table.ts'

/** Of numbers that no machine has. */
const LOOP: LoopState = {
  path: '/dev/loop99998',
  file: '/srv/sheep/cluster1/volume/web01',
  offset: 0,
  sizeLimit: 0,
  size: 2 ** 30,
  sectorSize: 512,
  isReadOnly: false,
  goesWithUser: false,
  partitions: [
    { path: '/dev/loop99998p1', number: '259:99998' },
    { path: '/dev/loop99998p2', number: '259:99999' },
  ],
  number: '7:99998',
}

test(
  'what the kernel has built on a device or its partitions is named, and so is swap',
  { timeout: 20_000 },
  async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'users-'))
    t.after(() => rm(root, { recursive: true, force: true }))
    assert.deepEqual(await deviceUsers(LOOP, root), [])
    for (const holder of ['loop99998/holders/md7', 'loop99998/loop99998p1/holders/dm-3', 'dm-3/dm']) {
      await mkdir(join(root, 'sys/block', holder), { recursive: true })
    }
    await writeFile(join(root, 'sys/block/dm-3/dm/name'), 'vg0-data\n')
    await mkdir(join(root, 'proc'))
    const swaps =
      'Filename Type Size Used Priority\n/dev/loop99998p2 partition 1 0 -2\n/dev/loop9999 partition 1 0 -3\n'
    await writeFile(join(root, 'proc/swaps'), swaps)
    assert.deepEqual(await deviceUsers(LOOP, root), ['/dev/md7', '/dev/mapper/vg0-data', 'swap on /dev/loop99998p2'])
  },
)
