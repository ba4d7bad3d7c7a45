import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statusText, type StatusSource } from '../../src/daemon/supervisor/status-text.ts'

const SERVING = { name: 'a', state: 'serving', keeper: { reason: undefined } } as const
const WAITING = { name: 'b', state: 'waiting', keeper: { reason: 'no sheep answers' } } as const

function text(managed: StatusSource['managed'], state: StatusSource['state'] = 'running'): string {
  return statusText({ state, managed })
}

test('the status says how many mounts are served, and what is wrong with the others', () => {
  assert.equal(text([]), 'no mounts')
  assert.equal(text([SERVING]), 'serving 1 mount')
  assert.equal(text([SERVING, SERVING]), 'serving 2 mounts')
  assert.equal(text([SERVING, WAITING]), 'serving 1 of 2 mounts; b waiting: no sheep answers')
  assert.equal(text([{ ...SERVING, state: 'starting' }]), 'serving 0 of 1 mounts; a starting')
})

test('the status of a daemon that stops says what is still mounted', () => {
  assert.equal(text([SERVING, WAITING], 'stopping'), 'stopping; 2 still mounted')
})
