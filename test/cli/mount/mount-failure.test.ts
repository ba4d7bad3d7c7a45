import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kernelLines } from '../../../src/cli/mount/mount-failure.ts'

const LOG = `[   10.000000] EXT4-fs (loop1): an older mount
[   20.000000] loop1: detected capacity change from 0 to 131072
[   20.100000] XFS (loop1): Filesystem has duplicate UUID 5f1c - can't mount
[   20.100001] XFS (loop10): another device
[   20.200000] erofs (device loop1): cannot find valid erofs superblock
[   20.300000] ext4: Unknown parameter 'nosuchopt'
[   20.400000] usb 1-1: new device
`

test('of what the kernel says only that counts which is of this mount, without the name of its device', () => {
  assert.deepEqual(kernelLines(LOG, 'loop1', 20), [
    "XFS: Filesystem has duplicate UUID 5f1c - can't mount",
    'erofs: cannot find valid erofs superblock',
    "ext4: Unknown parameter 'nosuchopt'",
  ])
  assert.deepEqual(kernelLines(LOG, 'loop10', 20.1), ['XFS: another device', "ext4: Unknown parameter 'nosuchopt'"])
  assert.deepEqual(kernelLines('', 'loop1', 0), [])
})
