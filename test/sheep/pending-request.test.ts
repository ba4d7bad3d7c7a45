import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Link } from '../../src/sheep/pending-request.ts'
import { dataOid } from '../../src/wire/object-id.ts'
import { readObject, writeObject } from '../../src/wire/object-ops.ts'
import { SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'

const MIB = 2 ** 20
const OID = dataOid(7, 0)
/** What a second more is given for. */
const SECOND_OF_BYTES = 128 * 1024

test('a request has more time for what moves of all that is before it, and no more', () => {
  const link = new Link()
  const first = link.send(readObject(OID, 0, 4 * MIB))
  const second = link.send(readObject(OID, 0, 4 * MIB))
  assert.deepEqual([link.extraMs(first), link.extraMs(second)], [0, 0])
  link.receive(MIB)
  assert.equal(link.extraMs(second), 1000 * (MIB / SECOND_OF_BYTES))
  for (let i = 0; i < 100; i++) link.receive(MIB) // of others, while this one is lost
  assert.ok(link.extraMs(first) < 1000 * ((4 * MIB + MIB / 16) / SECOND_OF_BYTES))
  assert.ok(link.extraMs(second) < 1000 * ((8 * MIB + MIB / 16) / SECOND_OF_BYTES))
})

test('what was sent counts as moved when it is answered, and then is before nobody', () => {
  const link = new Link()
  const first = link.send(writeObject(OID, 0, new Uint8Array(MIB)))
  const second = link.send(writeObject(OID, 0, new Uint8Array(MIB)))
  link.receive(SD_HEADER_SIZE)
  link.end(first, SD_HEADER_SIZE)
  assert.ok(link.extraMs(second) >= 1000 * (MIB / SECOND_OF_BYTES))
  const third = link.send(readObject(OID, 0, 1))
  assert.equal(third.ahead, second.bytes + third.bytes)
})
