import assert from 'node:assert/strict'
import { test } from 'node:test'
import { screenOf } from '../../src/cli/screen.ts'

/** What a terminal of that size is sent. */
function sent(columns: number, rows: number, text: string): string {
  let written = ''
  screenOf({ columns, rows, write: (chunk: unknown) => (written += String(chunk)) !== '' }).fill(text)
  return written
}

test('a screen shows a text from the top, in place of what was there', () => {
  assert.equal(sent(80, 24, 'a\nb\n'), '\u001b[Ha\u001b[K\nb\u001b[K\n\u001b[J')
})

test('what does not fit is cut off, and how much that is said', () => {
  assert.equal(sent(3, 4, 'abcdef\nb\nc\nd\ne\n'), '\u001b[Habc\u001b[K\nb\u001b[K\n...\u001b[K\n\u001b[J')
  assert.match(sent(80, 4, 'a\nb\nc\nd\ne\n'), /^.*a.*\n.*b.*\n\.\.\. 3 more lines.*\n.*$/)
})

test('a text does nothing to a terminal', () => {
  assert.equal(sent(80, 24, 'x\u001b]0;title\u0007'), '\u001b[Hx\\u001b]0;title\\u0007\u001b[K\n\u001b[J')
})
