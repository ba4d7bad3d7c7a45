import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { pino } from 'pino'
import { SheepfsError } from '../../src/errors.ts'
import { ERRNO, errnoOf } from '../../src/fuse/errno.ts'
import { silentLogger } from '../../src/log.ts'

test('every error code has a positive errno the kernel accepts', () => {
  for (const [code, errno] of Object.entries(ERRNO)) assert.ok(errno > 0 && errno <= 511, code)
})

test('an error of the program becomes its errno', () => {
  const { errno } = constants
  assert.equal(errnoOf(new SheepfsError('no-space', 'past the end'), 'WRITE', silentLogger()), errno.ENOSPC)
})

test('a programming error becomes EIO and leaves its stack in the log', () => {
  const lines: string[] = []
  const log = pino({ level: 'error' }, { write: (line: string) => lines.push(line) })
  assert.equal(errnoOf(new TypeError('x is not a function'), 'READ', log), constants.errno.EIO)
  assert.match(lines.join(''), /errno\.test/)
})
