import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addrText, encodeNodeRecord, parseAddr, parseNodeRecords } from '../../src/wire/node-record.ts'

/** Text in, text out as inet_ntop(3) of glibc prints it. */
const ADDRESSES: Readonly<Record<string, string>> = {
  '127.0.0.1': '127.0.0.1',
  '0.0.0.0': '::',
  '255.255.255.255': '255.255.255.255',
  '::': '::',
  '::1': '::1',
  '::2:304': '::0.2.3.4',
  '1::': '1::',
  'fe80::1': 'fe80::1',
  '2001:db8:0:0:1:0:0:1': '2001:db8::1:0:0:1',
  '2001:DB8::': '2001:db8::',
  '1:2:3:4:5:6:7:8': '1:2:3:4:5:6:7:8',
  '1:0:3:4:5:6:7:8': '1:0:3:4:5:6:7:8',
  '::ffff:1.2.3.4': '::ffff:1.2.3.4',
  '0:0:0:1::': '0:0:0:1::',
  '64:ff9b::192.0.2.33': '64:ff9b::c000:221',
}

for (const [text, printed] of Object.entries(ADDRESSES)) {
  test(`the address ${text} is printed as ${printed}`, () => {
    assert.equal(addrText(parseAddr(text) ?? new Uint8Array(0)), printed)
  })
}

for (const text of [
  '',
  'localhost',
  '1.2.3',
  '1.2.3.256',
  '1.2.3.4.5',
  '1::2::3',
  'fe80::1%eth0',
  '[::1]',
  '01.2.3.4',
]) {
  test(`"${text}" is no numeric address`, () => {
    assert.equal(parseAddr(text), undefined)
  })
}

test('a record that is written reads back', () => {
  const node = { addr: parseAddr('2001:db8::7') ?? new Uint8Array(16), port: 65535, nrVnodes: 300, zone: 0xffffffff }
  const record = encodeNodeRecord({ ...node, space: 2 ** 45 + 1 })
  assert.equal(record.length, 80)
  assert.deepEqual(parseNodeRecords(record, 1), [{ ...node, space: 2 ** 45 + 1, disks: [] }])
})

test('records with disks list the disks that are there', () => {
  const record = new Uint8Array(592)
  record.set(encodeNodeRecord({ addr: new Uint8Array(16), port: 7000, nrVnodes: 128, zone: 1, space: 4096 }))
  const view = new DataView(record.buffer)
  view.setUint32(80, 0x89abcdef, true)
  view.setUint32(84, 0x01234567, true)
  view.setUint32(92, 2, true)
  const [node] = parseNodeRecords(record, 1)
  assert.deepEqual(node?.disks, [{ idLow: 0x89abcdef, idHigh: 0x01234567, space: 2 ** 33 }])
})

test('records of an unknown size are refused', () => {
  assert.throws(() => parseNodeRecords(new Uint8Array(81), 1), /81 bytes/)
  assert.throws(() => parseNodeRecords(new Uint8Array(100), 3), /bytes/)
  assert.deepEqual(parseNodeRecords(new Uint8Array(0), 0), [])
})
