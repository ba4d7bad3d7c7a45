import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { packed, reply, request } from './fake-device.ts'
import { ioArgs, openTest, serve, TEST_ID, TIME_LIMIT } from './fake-session.ts'

const { ENOSPC, ENXIO } = constants.errno

test('what is written is read back, at any size', TIME_LIMIT, async () => {
  const { device } = serve()
  const fh = await openTest(device)
  for (const size of [1, 777, 4096, 128 * 1024, 1 << 20]) {
    const data = Buffer.alloc(size, `${size} `)
    const write = request(FuseOpcode.WRITE, { nodeid: TEST_ID, args: Buffer.concat([ioArgs(fh, 0, size), data]) })
    assert.deepEqual(await device.exchange(write), reply({ payload: packed([size, 4], [0, 4]) }))
    const read = request(FuseOpcode.READ, { nodeid: TEST_ID, args: ioArgs(fh, 0, size) })
    assert.deepEqual(await device.exchange(read), reply({ payload: data }))
  }
})

test('concurrent requests keep their own data, in whatever order they end', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const fh = await openTest(device)
  tree.volume.latencyMs = 5
  const writes = Array.from({ length: 40 }, (_, index) => {
    const size = index % 2 === 0 ? 4096 : 150_000
    const args = Buffer.concat([ioArgs(fh, index * 4096, size), Buffer.alloc(size, index + 1)])
    return request(FuseOpcode.WRITE, { unique: BigInt(index * 2), nodeid: TEST_ID, args })
  })
  await Promise.all(writes.filter((_, index) => index % 2 === 1).map((write) => device.exchange(write)))
  await Promise.all(writes.filter((_, index) => index % 2 === 0).map((write) => device.exchange(write)))
  for (let index = 0; index < 40; index += 2) assert.equal(tree.volume.content[index * 4096], index + 1)
  assert.ok(tree.parallelism.most > 4)
})

test('reading past the end gives nothing, writing past it ENOSPC', TIME_LIMIT, async () => {
  const { device } = serve()
  const fh = await openTest(device)
  const read = request(FuseOpcode.READ, { nodeid: TEST_ID, args: ioArgs(fh, 1 << 20, 4096) })
  assert.deepEqual(await device.exchange(read), reply())
  const far = request(FuseOpcode.READ, { nodeid: TEST_ID, args: ioArgs(fh, 2n ** 63n - 4096n, 4096) })
  assert.deepEqual(await device.exchange(far), reply())
  const args = Buffer.concat([ioArgs(fh, 1 << 20, 4), Buffer.from('data')])
  const write = request(FuseOpcode.WRITE, { nodeid: TEST_ID, args })
  assert.deepEqual(await device.exchange(write), reply({ error: -ENOSPC }))
})

test('what the kernel held back and does not fit is ENOSPC, though a part of it was written', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const fh = await openTest(device)
  const held = Buffer.concat([ioArgs(fh, (1 << 20) - 4, 8), Buffer.from('fits/not')])
  held.writeUInt32LE(1, 20) // FUSE_WRITE_CACHE
  const write = request(FuseOpcode.WRITE, { nodeid: TEST_ID, args: held })
  assert.deepEqual(await device.exchange(write), reply({ error: -ENOSPC }))
  assert.equal(tree.volume.content.toString('latin1', (1 << 20) - 4), 'fits')
})

test('each open is direct or cached as its handle says', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const open = request(FuseOpcode.OPEN, { nodeid: TEST_ID, args: packed([0, 4], [0, 4]) })
  assert.equal((await device.exchange(open)).readUInt32LE(24), 1 + 32 + 64) // DIRECT_IO NOFLUSH PARALLEL_DIRECT_WRITES
  tree.volume.caching = 'cached'
  assert.equal((await device.exchange(open)).readUInt32LE(24), 2) // KEEP_CACHE
})

test('fallocate gives back or zeroes ranges inside the file', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const fh = await openTest(device)
  const fallocate = (mode: number, offset: number, length: number): Promise<Buffer> => {
    const args = packed([fh, 8], [offset, 8], [length, 8], [mode, 4], [0, 4])
    return device.exchange(request(FuseOpcode.FALLOCATE, { nodeid: TEST_ID, args }))
  }
  assert.deepEqual(await fallocate(3, 512, 1024), reply())
  assert.deepEqual(await fallocate(17, 0, 4096), reply())
  assert.deepEqual(await fallocate(3, (1 << 20) - 10, 4096), reply())
  assert.deepEqual(await fallocate(0, 0, 1 << 20), reply())
  assert.deepEqual(await fallocate(3, 1 << 21, 4096), reply())
  assert.deepEqual(tree.volume.zeroed, [
    { position: 512, length: 1024, release: true },
    { position: 0, length: 4096, release: false },
    { position: (1 << 20) - 10, length: 10, release: true },
  ])
  assert.deepEqual(await fallocate(0, 0, (1 << 20) + 1), reply({ error: -ENOSPC }))
})

test('lseek finds data and holes', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const fh = await openTest(device)
  tree.volume.content.fill(1, 8192, 12288)
  const lseek = (offset: number, whence: number): Promise<Buffer> =>
    device.exchange(
      request(FuseOpcode.LSEEK, { nodeid: TEST_ID, args: packed([fh, 8], [offset, 8], [whence, 4], [0, 4]) }),
    )
  assert.deepEqual(await lseek(0, 3), reply({ payload: packed([8192, 8]) }))
  assert.deepEqual(await lseek(8192, 4), reply({ payload: packed([12288, 8]) }))
  assert.deepEqual(await lseek(12288, 3), reply({ error: -ENXIO }))
})

test('a handle of a dead predecessor is opened again, once, the way it was open', TIME_LIMIT, async () => {
  const first = serve({ generation: 1 })
  const readable = await openTest(first.device, 0)
  const writable = await openTest(first.device, 2)
  const { device, tree } = serve({ generation: 2 })
  const opened: boolean[] = []
  const open = tree.volume.open.bind(tree.volume)
  tree.volume.open = (access?: { readonly write: boolean }) => {
    opened.push(access?.write ?? false)
    return open()
  }
  const reads = [readable, readable, writable].map((fh, index) =>
    device.exchange(request(FuseOpcode.READ, { unique: BigInt(index * 2), nodeid: TEST_ID, args: ioArgs(fh, 0, 512) })),
  )
  for (const answer of await Promise.all(reads)) assert.equal(answer.length, 16 + 512)
  assert.deepEqual(opened, [false, true])
  const fresh = await openTest(device)
  assert.notEqual(fresh >> 32n, readable >> 32n)
  for (const fh of [readable, writable, fresh]) {
    const release = request(FuseOpcode.RELEASE, { nodeid: TEST_ID, args: packed([fh, 8], [0, 8], [0, 8]) })
    assert.deepEqual(await device.exchange(release), reply())
  }
  assert.equal(tree.volume.opens, 0)
})
