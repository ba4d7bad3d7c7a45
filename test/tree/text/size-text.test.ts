import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { sizeText } from '../../../src/tree/text/size-text.ts'

test('sizes are rounded as dog rounds them, ties to even', () => {
  const expected = new Map([
    [0, '0.0 MB'],
    [262144, '0.2 MB'],
    [786432, '0.8 MB'],
    [10485759, '10.0 MB'],
    [10485760, '10 MB'],
    [13107200, '12 MB'],
    [12884901888, '12 GB'],
    [13421772800, '12 GB'],
    [1073217536, '1024 MB'],
    [1099511627775, '1024 GB'],
    [4 * 2 ** 30, '4.0 GB'],
    [2 ** 53, '8.0 PB'],
    [2 ** 90, '1024 YB'],
  ])
  for (const [bytes, text] of expected) assert.equal(sizeText(bytes), text)
})

test('a rounded size is never further from the true one than half of its last digit', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), (bytes) => {
      const [number = '', unit = ''] = sizeText(bytes).split(' ')
      const scale = 2 ** (20 + 10 * ['MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'].indexOf(unit))
      assert.ok(Math.abs(Number(number) - bytes / scale) <= (number.includes('.') ? 0.05 : 0.5) + 1e-9)
    }),
  )
})
