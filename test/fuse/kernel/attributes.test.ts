import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { notifyStoreZero } from '../../../src/wire/fuse-notify.ts'
import { packed, reply, request } from './fake-device.ts'
import { openTest, serve, TEST_ID, TIME_LIMIT } from './fake-session.ts'

const { EBUSY, ENOENT, EPERM, ESTALE } = constants.errno

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

/** SETATTR of volume/test, or of another node. */
function setattr(
  valid: number,
  {
    nodeid = TEST_ID,
    size = 0,
    mode = 0,
    uid = 0,
    gid = 0,
  }: Partial<Record<'nodeid' | 'size' | 'mode' | 'uid' | 'gid', number>>,
): Uint8Array {
  const args = Buffer.alloc(88)
  args.writeUInt32LE(valid, 0)
  args.writeBigUInt64LE(BigInt(size), 16)
  args.writeUInt32LE(mode, 68)
  args.writeUInt32LE(uid, 76)
  args.writeUInt32LE(gid, 80)
  return request(FuseOpcode.SETATTR, { nodeid, args })
}

const SIZE_AND_LOCKOWNER = 0x208

test(
  'truncating to nothing is answered with 0, so that pages are dropped, and the size comes back',
  TIME_LIMIT,
  async () => {
    const { device, tree } = serve()
    tree.volume.content.fill(9)
    // the notification has come right behind the answer
    const store = await device.exchange(setattr(SIZE_AND_LOCKOWNER, { size: 0 }))
    const answer = device.sent[0] ?? assert.fail()
    const attr = { validS: answer.readBigUInt64LE(16), size: answer.readBigUInt64LE(16 + 16 + 8) }
    assert.deepEqual(attr, { validS: 0n, size: 0n })
    assert.equal(tree.volume.content.includes(9), false)
    assert.deepEqual(store, Buffer.from(notifyStoreZero(TEST_ID, 1 << 20)))
    assert.equal(tree.volume.sizesTold, 1)
    const getattr = request(FuseOpcode.GETATTR, { nodeid: TEST_ID, args: packed([0, 4], [0, 4], [0, 8]) })
    assert.equal((await device.exchange(getattr)).readBigUInt64LE(16 + 16 + 8), 1n << 20n)
  },
)

test(
  'truncating to less is EPERM, to nothing EBUSY while another process has the volume open',
  TIME_LIMIT,
  async () => {
    const { device, tree } = serve()
    tree.volume.content.fill(9)
    assert.deepEqual(await device.exchange(setattr(SIZE_AND_LOCKOWNER, { size: 1024 })), reply({ error: -EPERM }))
    await openTest(device)
    assert.deepEqual(await device.exchange(setattr(SIZE_AND_LOCKOWNER, { size: 0 })), reply({ error: -EBUSY }))
    assert.equal(tree.volume.content[0], 9)
  },
)

test('truncating a control file is answered with the size it has', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  tree.pageCache.shownSize = 2
  const answer = await device.exchange(setattr(SIZE_AND_LOCKOWNER, { nodeid: tree.pageCache.id, size: 0 }))
  assert.equal(answer.readBigUInt64LE(16 + 16 + 8), 2n)
  assert.deepEqual(device.sent, [])
})

test(
  'another mode or owner is EPERM for every node, those it has are taken, and so are times',
  TIME_LIMIT,
  async () => {
    const { device, tree } = serve()
    const [MODE, UID, GID, ATIME, MTIME] = [1, 2, 4, 16, 32]
    for (const node of [tree.root, tree.volumes, tree.volume, tree.pageCache]) {
      const { mode, uid, gid } = await node.attributes()
      const to = (valid: number, change: Parameters<typeof setattr>[1]): Promise<Buffer> =>
        device.exchange(setattr(valid, { nodeid: node.id, mode, uid, gid, ...change }))
      const isTaken = async (answered: Promise<Buffer>): Promise<boolean> => (await answered).readInt32LE(4) === 0
      assert.ok(await isTaken(to(MODE + UID + GID, { mode: 0o100000 + mode })))
      assert.ok(await isTaken(to(ATIME + MTIME, {})))
      assert.deepEqual(await to(MODE, { mode: mode ^ 0o010 }), reply({ error: -EPERM }))
      assert.deepEqual(await to(MODE, { mode: mode | 0o4000 }), reply({ error: -EPERM }))
      assert.deepEqual(await to(UID, { uid: uid + 1 }), reply({ error: -EPERM }))
      assert.deepEqual(await to(GID, { gid: gid + 1 }), reply({ error: -EPERM }))
    }
  },
)
