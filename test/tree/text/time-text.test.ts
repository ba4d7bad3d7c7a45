import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { ctimeText, minuteText, secondText } from '../../../src/tree/text/time-text.ts'

const zone = process.env['TZ']

afterEach(() => {
  if (zone === undefined) delete process.env['TZ']
  else process.env['TZ'] = zone
})

test('times are shown in the time zone of the process', () => {
  process.env['TZ'] = 'UTC'
  assert.equal(secondText(1795353454), '2026-11-22 13:17:34')
  process.env['TZ'] = 'Asia/Kolkata'
  assert.equal(secondText(1795353454), '2026-11-22 18:47:34')
  assert.equal(minuteText(1795353454), '2026-11-22 18:47')
})

test('the day of the month of a creation time is padded with a blank', () => {
  process.env['TZ'] = 'UTC'
  assert.equal(ctimeText(1795353454), 'Sun Nov 22 13:17:34 2026')
  assert.equal(ctimeText(0), 'Thu Jan  1 00:00:00 1970')
  assert.equal(ctimeText(4294967295), 'Sun Feb  7 06:28:15 2106')
})
