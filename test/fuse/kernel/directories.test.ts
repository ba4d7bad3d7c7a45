import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { packed, request } from './fake-device.ts'
import { ioArgs, serve, TIME_LIMIT } from './fake-session.ts'

test('a directory reads in pieces, each entry once', TIME_LIMIT, async () => {
  const { device } = serve()
  const args = packed([0, 4], [0, 4])
  const fh = (await device.exchange(request(FuseOpcode.OPENDIR, { args }))).readBigUInt64LE(16)
  const names: string[] = []
  for (let offset = 0n; ;) {
    const page = await device.exchange(request(FuseOpcode.READDIR, { args: ioArgs(fh, offset, 70) }))
    if (page.length === 16) break
    assert.ok(page.length <= 16 + 70)
    for (let at = 16; at < page.length;) {
      const length = page.readUInt32LE(at + 16)
      names.push(page.toString('utf8', at + 24, at + 24 + length))
      offset = page.readBigUInt64LE(at + 8)
      at += (24 + length + 7) & ~7
    }
  }
  assert.deepEqual(names, ['.', '..', 'volume', 'vdi', 'config'])
})

test('READDIRPLUS tells the attributes, except of "." and ".."', TIME_LIMIT, async () => {
  const { device } = serve()
  const args = packed([0, 4], [0, 4])
  const fh = (await device.exchange(request(FuseOpcode.OPENDIR, { nodeid: 2, args }))).readBigUInt64LE(16)
  const page = await device.exchange(request(FuseOpcode.READDIRPLUS, { nodeid: 2, args: ioArgs(fh, 0, 4096) }))
  const entries = [0, 1, 2].map((index) => page.subarray(16 + index * 160, 176 + index * 160))
  assert.deepEqual(
    entries.map((entry) => [entry.readBigUInt64LE(0), entry.readBigUInt64LE(48), entry.toString('utf8', 152, 156)]),
    [
      [0n, 0n, '.\0\0\0'],
      [0n, 0n, '..\0\0'],
      [10n, 1n << 20n, 'test'],
    ],
  )
  assert.equal(page.length, 16 + 3 * 160)
})
