import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inNetworks, networkText } from '../../src/daemon/config/network.ts'

test('a network is written as ADDRESS/BITS, an address alone is a network of one', () => {
  const texts = ['10.0.0.0/24', '10.0.0.7', 'fd00::/8', '::1', '0.0.0.0/0']
  assert.deepEqual(texts.map(networkText), [...['10.0.0.0/24', '10.0.0.7/32', 'fd00::/8', '::1/128', '0.0.0.0/0']])
})

for (const text of [
  '',
  '/',
  '10.0.0.0/',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '10.0.0.0/8/8',
  'fd00::/129',
  'host/8',
  '10/8',
]) {
  test(`"${text}" is no network`, () => {
    assert.throws(() => networkText(text), { code: 'invalid', message: /is not a network: expected ADDRESS\/BITS/ })
  })
}

test('an address is in a network, or not, however it is written', () => {
  const isIn = inNetworks(['10.0.0.0/24', '192.168.1.1/32', 'fd00::/8'])
  const inside = ['10.0.0.0', '10.0.0.255', '192.168.1.1', 'fd00::', 'fdff::1', '::ffff:10.0.0.9', '::ffff:a00:9']
  const outside = ['10.0.1.0', '9.255.255.255', '192.168.1.2', 'fe80::1', '::1', '::', '0.0.0.0', '::ffff:11.0.0.1']
  for (const host of inside) assert.ok(isIn(host), host)
  for (const host of outside) assert.ok(!isIn(host), host)
})
