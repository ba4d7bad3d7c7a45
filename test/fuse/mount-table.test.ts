import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMountTable } from '../../src/fuse/mount-table.ts'

test('a mount table is read with and without optional fields, and its escapes undone', () => {
  const text = [
    '36 35 0:48 / /mnt/a\\040b\\134c rw,noatime master:1 shared:7 - fuse.sheepfs cl,1 rw,user_id=0',
    '37 35 8:1 / /mnt rw - ext4 /dev/sda1 rw',
    '',
  ].join('\n')
  assert.deepEqual(parseMountTable(text), [
    { id: 36, parent: 35, major: 0, minor: 48, mountpoint: '/mnt/a b\\c', type: 'fuse.sheepfs', source: 'cl,1' },
    { id: 37, parent: 35, major: 8, minor: 1, mountpoint: '/mnt', type: 'ext4', source: '/dev/sda1' },
  ])
})

test('a mountpoint with " - " in its name is still told from the type', () => {
  const [entry] = parseMountTable('36 35 0:48 / /mnt/a\\040-\\040b rw - fuse.sheepfs x rw')
  assert.equal(entry?.mountpoint, '/mnt/a - b')
  assert.equal(entry.type, 'fuse.sheepfs')
})
