import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { printable, printableValue } from '../src/printable.ts'

test('a text keeps its lines and all that can be seen', () => {
  const text = 'web01 ä 日本 🐑 "x" \\ %0A\nline'
  assert.equal(printable(text), text)
  assert.equal(
    printable('a\tb\r\u001b[2J\u009b\u202e\u200b\u{e0041}'),
    String.raw`a\u0009b\u000d\u001b[2J\u009b\u202e\u200b\udb40\udc41`,
  )
})

test('a value of somebody else has no lines', () => {
  const value = { name: 'a\nb', list: ['\u0007', 1, null, true, { deep: '\u2028' }] }
  assert.deepEqual(printableValue(value), {
    name: String.raw`a\u000ab`,
    list: [String.raw`\u0007`, 1, null, true, { deep: String.raw`\u2028` }],
  })
  assert.deepEqual(
    printableValue(JSON.parse('{"__proto__":"\\u0007"}')),
    JSON.parse(String.raw`{"__proto__":"\\u0007"}`),
  )
})

test('JSON means the same afterwards', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = printable(JSON.stringify({ text }))
      assert.equal((JSON.parse(json) as { text: string }).text, text)
      assert.doesNotMatch(json, /[\p{Cc}\p{Cf}]/u)
    }),
  )
})
