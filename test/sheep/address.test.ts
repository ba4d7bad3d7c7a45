import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressText, parseAddress, parseAddresses, parsePort } from '../../src/sheep/address.ts'

test('names, IPv4 and IPv6 are read with and without a port', () => {
  assert.deepEqual(parseAddress('sheep1'), { host: 'sheep1', port: 7000 })
  assert.deepEqual(parseAddress('sheep-1.example.org:7001'), { host: 'sheep-1.example.org', port: 7001 })
  assert.deepEqual(parseAddress('10.0.0.1:7002'), { host: '10.0.0.1', port: 7002 })
  assert.deepEqual(parseAddress('fe80::1'), { host: 'fe80::1', port: 7000 })
  assert.deepEqual(parseAddress('[fe80::1]'), { host: 'fe80::1', port: 7000 })
  assert.deepEqual(parseAddress('[fe80::1]:7003'), { host: 'fe80::1', port: 7003 })
  assert.deepEqual(parseAddresses('a, b:1 ,[::1]:2'), [
    { host: 'a', port: 7000 },
    { host: 'b', port: 1 },
    { host: '::1', port: 2 },
  ])
})

test('what is no address is refused with its text in the message', () => {
  for (const text of ['', ':7000', 'a b', '[sheep1]:7000', '[::1', '[::1]x', '1.2.3', '256.1.1.1', 'a:b:c', '-']) {
    assert.throws(
      () => parseAddress(text),
      (error: Error) => error.message.includes(`"${text}"`) || error.message.includes('is not'),
    )
  }
  assert.throws(() => parseAddresses('a,,b'), { code: 'invalid' })
})

test('a port is a number from 1 to 65535', () => {
  assert.equal(parsePort('65535'), 65535)
  for (const text of ['0', '65536', '-1', '7000.0', '0x10', ' 1', '']) {
    assert.throws(() => parsePort(text), { code: 'invalid' })
  }
})

test('an address is printed so that it can be read again', () => {
  for (const text of ['sheep1:7000', '10.0.0.1:1', '[fe80::1]:7000'])
    assert.equal(addressText(parseAddress(text)), text)
})
