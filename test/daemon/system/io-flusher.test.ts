import assert from 'node:assert/strict'
import { test } from 'node:test'
import { becomeIoFlusher } from '../../../src/daemon/system/io-flusher.ts'

const EVERY = 2n ** 41n - 1n
const CAP_SYS_RESOURCE = 1n << 24n

function notAsked(): never {
  throw new Error('the library was asked for')
}

test('a process that may becomes an I/O flusher', () => {
  const calls: number[][] = []
  const libc = { sendDescriptors: notAsked, prctl: (...call: number[]) => void calls.push(call) }
  assert.equal(
    becomeIoFlusher(() => libc, CAP_SYS_RESOURCE),
    undefined,
  )
  assert.deepEqual(calls, [[57, 1]])
})

test('one that may not says what it takes, and loads no library for it', () => {
  const lack = becomeIoFlusher(notAsked, EVERY & ~CAP_SYS_RESOURCE)
  assert.match(lack?.missing ?? '', /^PR_SET_IO_FLUSHER: EPERM/)
  assert.match(lack?.matters ?? '', /memory limit/)
  assert.match(lack?.mend ?? '', /CAP_SYS_RESOURCE/)
})

test('one whose kernel refuses, or that has no library, says so', () => {
  const refused = (): never => {
    throw Object.assign(new Error('prctl: EPERM'), { code: 'EPERM' })
  }
  const libc = { sendDescriptors: notAsked, prctl: refused }
  assert.match(becomeIoFlusher(() => libc, EVERY)?.missing ?? '', /^PR_SET_IO_FLUSHER: prctl: EPERM/)
  const none = (): never => {
    throw new Error('koffi cannot be loaded: no such module')
  }
  assert.match(becomeIoFlusher(none, EVERY)?.missing ?? '', /^PR_SET_IO_FLUSHER: koffi cannot be loaded/)
})
