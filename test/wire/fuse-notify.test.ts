import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  notifyInvalAttributes,
  notifyInvalContent,
  notifyInvalEntry,
  notifyResend,
} from '../../src/wire/fuse-notify.ts'

function hex(message: Uint8Array): string {
  return Buffer.from(message).toString('hex')
}

const NO_UNIQUE = '0000000000000000'

test('RESEND is the sixteen bytes that recover a mount', () => {
  assert.equal(hex(notifyResend()), '10000000' + '07000000' + NO_UNIQUE)
})

test('INVAL_INODE covers attributes only, or everything', () => {
  const header = '28000000' + '02000000' + NO_UNIQUE
  assert.equal(hex(notifyInvalAttributes(0x1234)), header + '3412000000000000' + 'ffffffffffffffff' + NO_UNIQUE)
  assert.equal(hex(notifyInvalContent(0x1234)), header + '3412000000000000' + NO_UNIQUE + NO_UNIQUE)
})

test('INVAL_ENTRY names the entry, with a NUL', () => {
  const header = '25000000' + '03000000' + NO_UNIQUE
  const name = Buffer.from('test\0').toString('hex')
  assert.equal(
    hex(notifyInvalEntry(2, Buffer.from('test'))),
    header + '0200000000000000' + '04000000' + '00000000' + name,
  )
})
