import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMountArguments } from '../../../src/cli/mount/mount-arguments.ts'
import { parseUmountArguments } from '../../../src/cli/mount/umount-arguments.ts'
import { isSheepfsError } from '../../../src/errors.ts'

test('the command line that mount(8) makes is understood', () => {
  const args = parseMountArguments(['c/v', '/srv/v', '-snv', '-o', 'rw,noatime', '-t', 'sheepfs'])
  assert.deepEqual(args, {
    source: 'c/v',
    directory: '/srv/v',
    isFake: false,
    isVerbose: true,
    isSloppy: true,
    isUnrecorded: true,
    options: 'rw,noatime',
  })
})

test('several -o add up', () => {
  const args = parseMountArguments(['-o', 'ro', 'c', '/srv/c', '-o', 'nofail', '-f'])
  assert.ok(typeof args === 'object')
  assert.equal(args.options, 'ro,nofail')
  assert.ok(args.isFake)
})

test('the command line that umount(8) makes is understood', () => {
  assert.deepEqual(parseUmountArguments(['/srv/v', '-l', '-n', '-t', 'ext4']), {
    directory: '/srv/v',
    flags: ['-l', '-n'],
  })
})

for (const args of [
  [],
  ['c'],
  ['c', '/a', '/b'],
  ['c', '/a', '-q'],
  ['c', '/a', '-N', '/proc/1/ns/mnt'],
  ['c', '/a', '-o'],
]) {
  test(`mount.sheepfs ${args.join(' ')} is refused`, () => {
    assert.throws(
      () => parseMountArguments(args),
      (error) => isSheepfsError(error, 'invalid'),
    )
  })
}
