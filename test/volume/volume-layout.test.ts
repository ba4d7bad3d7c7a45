import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseInodeHeader } from '../../src/wire/inode.ts'
import { checkLayout, splitRange } from '../../src/volume/volume-layout.ts'

test('a range is cut into parts that cover it in order, each within one object', () => {
  const natural = fc.integer({ min: 0, max: 2 ** 45 })
  fc.assert(
    fc.property(natural, fc.nat(1 << 20), fc.integer({ min: 16, max: 31 }), (position, length, shift) => {
      const objectSize = 2 ** shift
      let at = 0
      for (const part of splitRange(position, length, objectSize)) {
        assert.equal(part.at, at)
        assert.equal(part.index * objectSize + part.offset, position + at)
        assert.ok(part.length > 0 && part.offset + part.length <= objectSize)
        at += part.length
      }
      assert.equal(at, length)
    }),
  )
})

test('a layout that cannot be served rightly is refused', () => {
  const header = { ...parseInodeHeader(new Uint8Array(572)), vdiSize: 4096, blockSizeShift: 22 }
  checkLayout(header, 'VDI "a"')
  assert.throws(
    () => {
      checkLayout({ ...header, blockSizeShift: 32 }, 'VDI "a"')
    },
    { code: 'not-supported' },
  )
  assert.throws(
    () => {
      checkLayout({ ...header, storePolicy: 2 }, 'VDI "a"')
    },
    { code: 'not-supported' },
  )
  assert.throws(
    () => {
      checkLayout({ ...header, vdiSize: 2 ** 42 + 1 }, 'VDI "a"')
    },
    { code: 'too-large' },
  )
  checkLayout({ ...header, vdiSize: 2 ** 42 + 1, storePolicy: 1 }, 'VDI "a"')
})
