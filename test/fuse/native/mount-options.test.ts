import assert from 'node:assert/strict'
import { test } from 'node:test'
import { libfuseOptions } from '../../../src/fuse/native/mount-options.ts'
import { silentLogger } from '../../../src/log.ts'

const OPTIONS = {
  ...{ mountpoint: '/mnt', source: 'a,b\\c', allowOther: false, writeBack: false },
  ...{ caching: 'direct' as const, log: silentLogger() },
}

test('a comma and a backslash in the source do not end the option', () => {
  assert.match(libfuseOptions(OPTIONS, { root: false }), /^-ofsname=a\\,b\\\\c,subtype=sheepfs,/)
})

test('the page cache is on or off for the whole mount', () => {
  assert.match(libfuseOptions(OPTIONS, { root: false }), /,direct_io$/)
  assert.doesNotMatch(libfuseOptions({ ...OPTIONS, caching: 'cached' }, { root: false }), /direct_io/)
})
