import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tableText } from '../../src/cli/table.ts'

test('numbers are aligned to the right, all else to the left, whatever it looks like', () => {
  const columns = ['SHEEP', { number: 'SIZE' }, 'CREATED']
  const rows = [
    ['10.0.0.1:7000', '4G', '2026-01-02'],
    ['1:7', '-', '-'],
  ]
  assert.equal(
    tableText(columns, rows),
    ['SHEEP          SIZE  CREATED', '10.0.0.1:7000    4G  2026-01-02', '1:7               -  -', ''].join('\n'),
  )
})
