import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { becomeIoFlusher } from '../../../src/daemon/system/io-flusher.ts'

const EVERY = 2n ** 41n - 1n
const CAP_SYS_RESOURCE = 1n << 24n

function notAsked(): never {
  throw new Error('the library was asked for')
}

test('a process that may becomes an I/O flusher', () => {
  const calls: number[][] = []
  const libc = { sendDescriptors: notAsked, prctl: (...call: number[]) => void calls.push(call) }
  becomeIoFlusher(() => libc, pino({ level: 'silent' }), CAP_SYS_RESOURCE)
  assert.deepEqual(calls, [[57, 1]])
})

test('one that may not is told what it takes, and loads no library for it', () => {
  const lines: string[] = []
  const log = pino({}, { write: (line) => void lines.push(line) })
  becomeIoFlusher(notAsked, log, EVERY & ~CAP_SYS_RESOURCE)
  assert.match(lines.join(''), /PR_SET_IO_FLUSHER: not permitted.*CAP_SYS_RESOURCE/)
})
