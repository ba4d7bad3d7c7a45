import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromWireError, toWireError } from '../../src/daemon/wire-error.ts'
import { SheepfsError } from '../../src/errors.ts'

test('an error keeps its code and its words between the processes', () => {
  const error = fromWireError(structuredClone(toWireError(new SheepfsError('busy', 'volume "a" is open'))))
  assert.ok(error instanceof SheepfsError)
  assert.deepEqual([error.code, error.message], ['busy', 'volume "a" is open'])
})

test('what was not thrown on purpose travels as io', () => {
  assert.equal(toWireError(new TypeError('x is undefined')).code, 'io')
  assert.equal(toWireError('a text').code, 'io')
})
