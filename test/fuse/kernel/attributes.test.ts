import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { packed, reply, request } from './fake-device.ts'
import { serve, TEST_ID, TIME_LIMIT } from './fake-session.ts'

const { ENOENT, EPERM, ESTALE } = constants.errno

test('LOOKUP answers the node with its attributes', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const answer = await device.exchange(request(FuseOpcode.LOOKUP, { nodeid: 2, args: Buffer.from('test\0') }))
  const { uid, gid } = await tree.volume.attributes()
  const modified = Date.UTC(2024, 1, 29) / 1000
  const changed = Date.UTC(2024, 2, 1) / 1000
  const times = [
    [modified, 8],
    [modified, 8],
    [changed, 8],
    [0, 4],
    [0, 4],
    [250_000, 4],
  ] as const
  const attr = [
    [TEST_ID, 8],
    [1 << 20, 8],
    [8, 8],
    ...times,
    [0o100644, 4],
    [1, 4],
    [uid, 4],
    [gid, 4],
    [0, 4],
  ] as const
  const entry = [
    [TEST_ID, 8],
    [0, 8],
    [1, 8],
    [1, 8],
    [0, 4],
    [0, 4],
  ] as const
  assert.deepEqual(answer, reply({ payload: packed(...entry, ...attr, [1 << 20, 4], [0, 4]) }))
})

test('a name that is not there is ENOENT, a node that is gone ESTALE', TIME_LIMIT, async () => {
  const { device } = serve()
  const lookup = request(FuseOpcode.LOOKUP, { args: Buffer.from('nosuch\0') })
  assert.deepEqual(await device.exchange(lookup), reply({ error: -ENOENT }))
  const getattr = request(FuseOpcode.GETATTR, { nodeid: 99, args: packed([0, 4], [0, 4], [0, 8]) })
  assert.deepEqual(await device.exchange(getattr), reply({ error: -ESTALE }))
})

test('truncating to nothing succeeds, changes nothing and tells the true size', TIME_LIMIT, async () => {
  const { device } = serve()
  const setattr = (size: number): Uint8Array => {
    const args = Buffer.alloc(88)
    args.writeUInt32LE(0x208, 0) // SIZE LOCKOWNER
    args.writeBigUInt64LE(BigInt(size), 16)
    return request(FuseOpcode.SETATTR, { nodeid: TEST_ID, args })
  }
  assert.equal((await device.exchange(setattr(0))).readBigUInt64LE(16 + 16 + 8), 1n << 20n)
  assert.deepEqual(await device.exchange(setattr(1024)), reply({ error: -EPERM }))
})
