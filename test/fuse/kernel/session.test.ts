import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { pino } from 'pino'
import { SheepfsError } from '../../../src/errors.ts'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { silentLogger, type Logger } from '../../../src/log.ts'
import { FuseInit, FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { MemoryTree } from '../memory-tree.ts'
import { FakeDevice, packed, reply, request } from './fake-device.ts'

const { EINVAL, EIO, ENOENT, ENOSYS, ENOSPC, ENXIO, EPERM, ESTALE } = constants.errno
const O_RDWR = 2
const TEST = 10 // node id of volume/test
const TIME_LIMIT = { timeout: 10_000 }
const NEGOTIATED = { minor: 45, flags: 0, flags2: 0, maxWrite: 1 << 20, maxPages: 256, canResend: true }

function serve(options: { generation?: number; log?: Logger; memoryLimit?: number } = {}): {
  tree: MemoryTree
  device: FakeDevice
  session: Session
} {
  const tree = new MemoryTree(1 << 20)
  const device = new FakeDevice()
  const { generation = 1, log = silentLogger(), memoryLimit = 40 << 20 } = options
  const session = new Session({
    ...{ tree, device, log, generation, memoryLimit, writeBack: false, negotiated: NEGOTIATED },
  })
  session.start()
  return { tree, device, session }
}

async function openTest(device: FakeDevice, flags: number = O_RDWR): Promise<bigint> {
  const opened = await device.exchange(request(FuseOpcode.OPEN, { nodeid: TEST, args: packed([flags, 4], [0, 4]) }))
  assert.equal(opened.length, 32)
  return opened.readBigUInt64LE(16)
}

function ioArgs(fh: bigint, offset: number | bigint, size: number): Buffer {
  return packed([fh, 8], [offset, 8], [size, 4], [0, 4], [0, 8], [0, 4], [0, 4])
}

test('INIT is answered with 1 MiB requests and many of them in the background', TIME_LIMIT, async () => {
  const device = new FakeDevice()
  const session = new Session({
    ...{ tree: new MemoryTree(4096), device, log: silentLogger(), generation: 0, writeBack: true },
  })
  session.start()
  // the message that Linux 6.18 sends
  const args = Buffer.concat([packed([7, 4], [45, 4], [131072, 4], [0x73fffffb, 4], [0x5fd, 4]), Buffer.alloc(44)])
  const answer = await device.exchange(request(FuseOpcode.INIT, { args }))
  const { INIT_EXT, EXPLICIT_INVAL_DATA, MAX_PAGES, ABORT_ERROR, PARALLEL_DIROPS, WRITEBACK_CACHE } = FuseInit
  const { ASYNC_DIO, READDIRPLUS_AUTO, DO_READDIRPLUS, BIG_WRITES, ASYNC_READ } = FuseInit
  const granted = [INIT_EXT, EXPLICIT_INVAL_DATA, MAX_PAGES, ABORT_ERROR, PARALLEL_DIROPS, WRITEBACK_CACHE]
  const flags = [...granted, ASYNC_DIO, READDIRPLUS_AUTO, DO_READDIRPLUS, BIG_WRITES, ASYNC_READ].reduce(
    (a, b) => a + b,
  )
  const payload = Buffer.alloc(64)
  packed([7, 4], [45, 4], [131072, 4], [flags, 4], [(192 << 16) + 256, 4], [1 << 20, 4], [1, 4], [256, 4]).copy(payload)
  payload.writeUInt32LE(0x90, 32) // DIRECT_IO_ALLOW_MMAP HAS_RESEND
  assert.deepEqual(answer, reply({ payload }))
  assert.deepEqual(await session.ready, {
    ...{ minor: 45, flags, flags2: 0x90, maxWrite: 1 << 20, maxPages: 256, canResend: true },
  })
})

test('INIT of a kernel before 5.17 has no flags2', TIME_LIMIT, async () => {
  const device = new FakeDevice()
  const session = new Session({
    ...{ tree: new MemoryTree(4096), device, log: silentLogger(), generation: 0, writeBack: false },
  })
  session.start()
  const args = packed([7, 4], [34, 4], [131072, 4], [0x33fffffb, 4])
  await device.exchange(request(FuseOpcode.INIT, { args }))
  const { minor, flags, flags2, canResend } = await session.ready
  assert.deepEqual({ minor, flags, flags2, canResend }, { minor: 34, flags: 0x0264e021, flags2: 0, canResend: false })
})

test('a newer major version is answered with ours, and INIT is awaited again', TIME_LIMIT, async () => {
  const device = new FakeDevice()
  const session = new Session({
    ...{ tree: new MemoryTree(4096), device, log: silentLogger(), generation: 0, writeBack: false },
  })
  session.start()
  const answer = await device.exchange(request(FuseOpcode.INIT, { args: packed([8, 4], [1, 4], [0, 4], [0, 4]) }))
  assert.equal(answer.readUInt32LE(16), 7)
  await device.exchange(request(FuseOpcode.INIT, { args: packed([7, 4], [45, 4], [0, 4], [0, 4]) }))
  assert.equal((await session.ready).minor, 45)
})

test('LOOKUP answers the node with its attributes', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const answer = await device.exchange(request(FuseOpcode.LOOKUP, { nodeid: 2, args: Buffer.from('test\0') }))
  const { uid, gid } = await tree.volume.attributes()
  const seconds = tree.volume.modifiedMs / 1000
  const times = [
    [seconds, 8],
    [seconds, 8],
    [seconds, 8],
    [0, 4],
    [0, 4],
    [0, 4],
  ] as const
  const attr = [[TEST, 8], [1 << 20, 8], [8, 8], ...times, [0o100644, 4], [1, 4], [uid, 4], [gid, 4], [0, 4]] as const
  const entry = [
    [TEST, 8],
    [0, 8],
    [1, 8],
    [3600, 8],
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

test('a reply carries the mark of a request that was sent again', TIME_LIMIT, async () => {
  const { device } = serve()
  const unique = 2n ** 63n + 0x1234_5678_9abcn
  const getattr = request(FuseOpcode.GETATTR, { unique, args: packed([0, 4], [0, 4], [0, 8]) })
  assert.equal((await device.exchange(getattr)).readBigUInt64LE(8), unique)
})

test('what is written is read back, at any size', TIME_LIMIT, async () => {
  const { device } = serve()
  const fh = await openTest(device)
  for (const size of [1, 777, 4096, 128 * 1024, 1 << 20]) {
    const data = Buffer.alloc(size, `${size} `)
    const write = request(FuseOpcode.WRITE, { nodeid: TEST, args: Buffer.concat([ioArgs(fh, 0, size), data]) })
    assert.deepEqual(await device.exchange(write), reply({ payload: packed([size, 4], [0, 4]) }))
    const read = request(FuseOpcode.READ, { nodeid: TEST, args: ioArgs(fh, 0, size) })
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
    return request(FuseOpcode.WRITE, { unique: BigInt(index * 2), nodeid: TEST, args })
  })
  await Promise.all(writes.filter((_, index) => index % 2 === 1).map((write) => device.exchange(write)))
  await Promise.all(writes.filter((_, index) => index % 2 === 0).map((write) => device.exchange(write)))
  for (let index = 0; index < 40; index += 2) assert.equal(tree.volume.content[index * 4096], index + 1)
  assert.ok(tree.parallelism.most > 4)
})

test('reading past the end gives nothing, writing past it ENOSPC', TIME_LIMIT, async () => {
  const { device } = serve()
  const fh = await openTest(device)
  const read = request(FuseOpcode.READ, { nodeid: TEST, args: ioArgs(fh, 1 << 20, 4096) })
  assert.deepEqual(await device.exchange(read), reply())
  const far = request(FuseOpcode.READ, { nodeid: TEST, args: ioArgs(fh, 2n ** 63n - 4096n, 4096) })
  assert.deepEqual(await device.exchange(far), reply())
  const args = Buffer.concat([ioArgs(fh, 1 << 20, 4), Buffer.from('data')])
  const write = request(FuseOpcode.WRITE, { nodeid: TEST, args })
  assert.deepEqual(await device.exchange(write), reply({ error: -ENOSPC }))
})

test('each open is direct or cached as its handle says', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const open = request(FuseOpcode.OPEN, { nodeid: TEST, args: packed([0, 4], [0, 4]) })
  assert.equal((await device.exchange(open)).readUInt32LE(24), 1 + 32 + 64) // DIRECT_IO NOFLUSH PARALLEL_DIRECT_WRITES
  tree.volume.caching = 'cached'
  assert.equal((await device.exchange(open)).readUInt32LE(24), 2) // KEEP_CACHE
})

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

test('truncating to nothing succeeds, changes nothing and tells the true size', TIME_LIMIT, async () => {
  const { device } = serve()
  const setattr = (size: number): Uint8Array => {
    const args = Buffer.alloc(88)
    args.writeUInt32LE(0x208, 0) // SIZE LOCKOWNER
    args.writeBigUInt64LE(BigInt(size), 16)
    return request(FuseOpcode.SETATTR, { nodeid: TEST, args })
  }
  assert.equal((await device.exchange(setattr(0))).readBigUInt64LE(16 + 16 + 8), 1n << 20n)
  assert.deepEqual(await device.exchange(setattr(1024)), reply({ error: -EPERM }))
})

test('fallocate gives back or zeroes ranges inside the file', TIME_LIMIT, async () => {
  const { device, tree } = serve()
  const fh = await openTest(device)
  const fallocate = (mode: number, offset: number, length: number): Promise<Buffer> => {
    const args = packed([fh, 8], [offset, 8], [length, 8], [mode, 4], [0, 4])
    return device.exchange(request(FuseOpcode.FALLOCATE, { nodeid: TEST, args }))
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
      request(FuseOpcode.LSEEK, { nodeid: TEST, args: packed([fh, 8], [offset, 8], [whence, 4], [0, 4]) }),
    )
  assert.deepEqual(await lseek(0, 3), reply({ payload: packed([8192, 8]) }))
  assert.deepEqual(await lseek(8192, 4), reply({ payload: packed([12288, 8]) }))
  assert.deepEqual(await lseek(12288, 3), reply({ error: -ENXIO }))
})

test('what is not served is ENOSYS, and nothing can be made or removed', TIME_LIMIT, async () => {
  const { device } = serve()
  for (const opcode of [FuseOpcode.GETXATTR, FuseOpcode.POLL, FuseOpcode.FLUSH, FuseOpcode.STATX, 4000]) {
    assert.deepEqual(await device.exchange(request(opcode)), reply({ error: -ENOSYS }))
  }
  for (const opcode of [FuseOpcode.CREATE, FuseOpcode.UNLINK, FuseOpcode.MKDIR, FuseOpcode.RENAME2]) {
    assert.deepEqual(await device.exchange(request(opcode)), reply({ error: -EPERM }))
  }
})

test('forgets and interrupts are not answered', TIME_LIMIT, async () => {
  const { device } = serve()
  device.put(
    request(FuseOpcode.FORGET, { args: packed([1, 8]) }),
    request(FuseOpcode.INTERRUPT, { args: packed([2, 8]) }),
  )
  assert.deepEqual(await device.exchange(request(FuseOpcode.ACCESS)), reply({ error: -ENOSYS }))
  assert.deepEqual(device.sent, [])
})

test('a request shorter than its arguments is EINVAL', TIME_LIMIT, async () => {
  const { device } = serve()
  assert.deepEqual(await device.exchange(request(FuseOpcode.READ, { args: packed([0, 8]) })), reply({ error: -EINVAL }))
  const args = ioArgs(1n, 0, 100) // and no data
  assert.deepEqual(await device.exchange(request(FuseOpcode.WRITE, { args })), reply({ error: -EINVAL }))
})

test('a defect in the tree is EIO, with its stack in the log, and serving goes on', TIME_LIMIT, async () => {
  const lines: string[] = []
  const { device, tree } = serve({ log: pino({ level: 'error' }, { write: (line: string) => lines.push(line) }) })
  const space = tree.space.bind(tree)
  tree.space = () => {
    throw new TypeError('space is not what it was')
  }
  assert.deepEqual(await device.exchange(request(FuseOpcode.STATFS)), reply({ error: -EIO }))
  assert.match(lines.join(''), /session\.test/)
  tree.space = () => Promise.reject(new SheepfsError('unreachable', 'no sheep answers'))
  assert.deepEqual(await device.exchange(request(FuseOpcode.STATFS)), reply({ error: -EIO }))
  tree.space = space
  const total = (await device.exchange(request(FuseOpcode.STATFS))).readBigUInt64LE(16)
  assert.equal(total * 4096n, 3n * 2n ** 44n)
})

test('a reply that the kernel refuses becomes EIO', TIME_LIMIT, async () => {
  const { device } = serve()
  device.refusal = Object.assign(new Error('invalid argument'), { code: 'EINVAL' })
  assert.deepEqual(await device.exchange(request(FuseOpcode.STATFS)), reply({ error: -EIO }))
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
    device.exchange(request(FuseOpcode.READ, { unique: BigInt(index * 2), nodeid: TEST, args: ioArgs(fh, 0, 512) })),
  )
  for (const answer of await Promise.all(reads)) assert.equal(answer.length, 16 + 512)
  assert.deepEqual(opened, [false, true])
  const fresh = await openTest(device)
  assert.notEqual(fresh >> 32n, readable >> 32n)
  for (const fh of [readable, writable, fresh]) {
    const release = request(FuseOpcode.RELEASE, { nodeid: TEST, args: packed([fh, 8], [0, 8], [0, 8]) })
    assert.deepEqual(await device.exchange(release), reply())
  }
  assert.equal(tree.volume.opens, 0)
})

test('beyond the memory limit requests wait in the kernel until there is room', TIME_LIMIT, async () => {
  const { device, tree } = serve({ memoryLimit: 4 << 20 })
  const fh = await openTest(device)
  tree.volume.latencyMs = 20
  const size = 1 << 20
  const reads = Array.from({ length: 12 }, (_, index) =>
    device.exchange(request(FuseOpcode.READ, { unique: BigInt(index), nodeid: TEST, args: ioArgs(fh, 0, size) })),
  )
  await reads[0]
  assert.ok(device.untaken > 4)
  await Promise.all(reads)
  assert.ok(tree.parallelism.most <= 3)
})

test('the end of the mount ends the session, closes its files and drops late replies', TIME_LIMIT, async () => {
  const { device, session, tree } = serve()
  const fh = await openTest(device)
  tree.volume.latencyMs = 20
  device.put(request(FuseOpcode.READ, { nodeid: TEST, args: ioArgs(fh, 0, 512) }), 'aborted')
  assert.equal(await session.ended, 'aborted')
  assert.equal(tree.volume.opens, 0)
  assert.ok(device.isClosed)
  assert.deepEqual(device.sent, [])
})

test('close answers what is in flight and takes nothing new', TIME_LIMIT, async () => {
  const { device, session, tree } = serve()
  const fh = await openTest(device)
  tree.volume.latencyMs = 20
  const answered = device.exchange(request(FuseOpcode.READ, { nodeid: TEST, args: ioArgs(fh, 0, 512) }))
  await new Promise((resolve) => setImmediate(resolve))
  await session.close()
  assert.equal((await answered).length, 16 + 512)
  device.put(request(FuseOpcode.STATFS))
  assert.equal(device.untaken, 1)
  assert.equal(await session.ended, 'closed')
})

test('a device that fails ends the session with the failure', TIME_LIMIT, async () => {
  const { device, session } = serve()
  device.receive = () => {
    throw Object.assign(new Error('bad address'), { code: 'EFAULT' })
  }
  device.put(request(FuseOpcode.STATFS))
  await assert.rejects(session.ended, /bad address/)
})
