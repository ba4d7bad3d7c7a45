import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bindFlags, remountFlags, volumeFlags } from '../../../src/cli/mount/mount-flags.ts'
import { parseMountOptions } from '../../../src/cli/mount/mount-options.ts'
import { parseMountSource } from '../../../src/cli/mount/mount-source.ts'

const VOLUME = parseMountSource('c/v')
const mounted = (options: string) => ({ target: '/m', source: 's', fstype: 'ext4', 'maj:min': '7:0', options })

test('a volume is mounted nosuid,nodev; what is given explicitly comes last and wins', () => {
  for (const [given, expected] of [
    ['', 'nosuid,nodev'],
    ['noatime', 'nosuid,nodev,noatime'],
    ['suid', 'nosuid,nodev,suid'],
    ['dev,noexec', 'nosuid,nodev,dev,noexec'],
    ['allow_suid,users,nosuid', 'nosuid,nodev,users,nosuid,suid'],
    ['allow_dev,allow_suid', 'nosuid,nodev,suid,dev'],
  ] as const) {
    assert.equal(volumeFlags(parseMountOptions(given, VOLUME)).join(), expected, given)
  }
})

test('a remount keeps the flags that are there, and adds none', () => {
  const noatime = parseMountOptions('remount,noatime', VOLUME)
  assert.deepEqual(remountFlags(noatime, mounted('rw,nosuid,nodev,relatime')), ['nosuid', 'nodev', 'noatime'])
  assert.deepEqual(remountFlags(noatime, mounted('rw,nodev')), ['nodev', 'noatime'])
  assert.deepEqual(remountFlags(noatime, mounted('rw,relatime')), ['noatime'])
})

test('no option takes a flag from a tree in a second place', () => {
  const tree = mounted('rw,nosuid,nodev,noexec,relatime,nosymfollow')
  assert.equal(bindFlags(['ro', 'suid', 'exec'], tree).join(), 'ro,suid,exec,nosuid,nodev,noexec,nosymfollow')
  assert.equal(bindFlags(['ro'], mounted('rw,nosuid')).join(), 'ro,nosuid') // a mount(8) before 2.37
})
