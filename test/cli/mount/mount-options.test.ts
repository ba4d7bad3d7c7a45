import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseMountOptions } from '../../../src/cli/mount/mount-options.ts'
import { parseMountSource } from '../../../src/cli/mount/mount-source.ts'
import { isSheepfsError } from '../../../src/errors.ts'

const TREE = parseMountSource('c')
const VOLUME = parseMountSource('c/v')
const OWN_DAEMON = parseMountSource('sheepdog://h/v')

test('the options of sheepfs are taken out, everything else is passed on in order', () => {
  const options = parseMountOptions(
    'rw,fstype=xfs,nofail,partition=2,x-systemd.requires=a.service,noatime,sector_size=4096',
    VOLUME,
  )
  assert.equal(options.sectorSize, 4096)
  assert.equal(options.fstype, 'xfs')
  assert.equal(options.partition, 2)
  assert.equal(options.isReadOnly, false)
  assert.deepEqual(options.rest, ['rw', 'nofail', 'x-systemd.requires=a.service', 'noatime'])
})

test('a remount is told from a mount, and is nothing to pass on', () => {
  const { isRemount, rest } = parseMountOptions('rw,noatime,remount,ro', VOLUME)
  assert.equal(isRemount, true)
  assert.deepEqual(rest, ['rw', 'noatime', 'ro'])
})

test('of ro and rw the last one counts', () => {
  assert.equal(parseMountOptions('rw,ro', VOLUME).isReadOnly, true)
  assert.equal(parseMountOptions('ro,rw', VOLUME).isReadOnly, false)
})

test('a comma within double quotes does not end an option', () => {
  const { rest } = parseMountOptions('context="system_u:object_r:x:s0:c1,c2",noexec', VOLUME)
  assert.deepEqual(rest, ['context="system_u:object_r:x:s0:c1,c2"', 'noexec'])
})

test('options that only fstab needs are tolerated for every source', () => {
  const fstabOnly = 'defaults,_netdev,nofail,noauto,auto,user,users,owner,group,nouser,comment=x,x-a.b=c,X-mount.mkdir'
  for (const source of [TREE, VOLUME, OWN_DAEMON]) {
    assert.deepEqual(parseMountOptions(fstabOnly, source).rest, fstabOnly.split(','))
  }
})

test('empty options between commas are left out', () => {
  assert.deepEqual(parseMountOptions('', TREE).rest, [])
  assert.deepEqual(parseMountOptions(',,rw,', TREE).rest, ['rw'])
})

const BAD = [
  ['partition=0', VOLUME, /from 1 to 256, found "0"/],
  ['partition=one', VOLUME, /found "one"/],
  ['partition', VOLUME, /needs a value/],
  ['sector_size=4K', VOLUME, /option sector_size: expected 512 or 4096, found "4K"/],
  ['sector_size=512', TREE, /sector_size does not fit this source: it is for a volume/],
  ['fstype=', VOLUME, /needs a value/],
  ['break_lock=1', VOLUME, /takes no value, found "1"/],
  ['fstype=ext4', TREE, /fstype does not fit this source: it is for a volume, INSTANCE\/VDI or sheepdog:.*\/VDI$/],
  ['page_cache', VOLUME, /page_cache does not fit this source: it is for a daemon of its own, sheepdog:\/\/HOST\/…$/],
  ['mount=b', OWN_DAEMON, /mount does not fit this source: it is for an instance, INSTANCE or INSTANCE\/VDI$/],
  ['allow_other', OWN_DAEMON, /allow_other does not fit this source: it is for a tree .*, sheepdog:\/\/HOST\/$/],
  ['loop', VOLUME, /takes a loop device by itself/],
  ['offset=1048576', VOLUME, /takes a loop device by itself/],
] as const

for (const [text, source, message] of BAD) {
  test(`the option ${text} of ${source.text} is refused`, () => {
    assert.throws(
      () => parseMountOptions(text, source),
      (error) => isSheepfsError(error, 'invalid') && message.test(error.message),
    )
  })
}
