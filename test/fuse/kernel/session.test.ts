import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { test } from 'node:test'
import { pino } from 'pino'
import { deferred } from '../../../src/fuse/kernel/deferred.ts'
import { SheepfsError } from '../../../src/errors.ts'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { silentLogger } from '../../../src/log.ts'
import { MemoryTree } from '../memory-tree.ts'
import { FakeDevice, packed, reply, request } from './fake-device.ts'
import { ioArgs, newSession, openTest, serve, TEST_ID, TIME_LIMIT } from './fake-session.ts'

const { EINVAL, EIO, ENOSYS, EPERM } = constants.errno

test('a reply carries the mark of a request that was sent again', TIME_LIMIT, async () => {
  const { device } = serve()
  const unique = 2n ** 63n + 0x1234_5678_9abcn
  const getattr = request(FuseOpcode.GETATTR, { unique, args: packed([0, 4], [0, 4], [0, 8]) })
  assert.equal((await device.exchange(getattr)).readBigUInt64LE(8), unique)
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

test('beyond the memory limit requests wait in the kernel until there is room', TIME_LIMIT, async () => {
  const { device, tree } = serve({ memoryLimit: 4 << 20 })
  const fh = await openTest(device)
  tree.volume.latencyMs = 20
  const size = 1 << 20
  const reads = Array.from({ length: 12 }, (_, index) =>
    device.exchange(request(FuseOpcode.READ, { unique: BigInt(index), nodeid: TEST_ID, args: ioArgs(fh, 0, size) })),
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
  device.put(request(FuseOpcode.READ, { nodeid: TEST_ID, args: ioArgs(fh, 0, 512) }), 'aborted')
  assert.equal(await session.ended, 'aborted')
  assert.equal(tree.volume.opens, 0)
  assert.ok(device.isClosed)
  assert.deepEqual(device.sent, [])
})

test('close answers what is in flight and takes nothing new', TIME_LIMIT, async () => {
  const { device, session, tree } = serve()
  const fh = await openTest(device)
  tree.volume.latencyMs = 20
  const answered = device.exchange(request(FuseOpcode.READ, { nodeid: TEST_ID, args: ioArgs(fh, 0, 512) }))
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

test('a file that opens after the end is closed again', TIME_LIMIT, async () => {
  const { device, session, tree } = serve()
  const open = tree.volume.open.bind(tree.volume)
  const { promise: opening, resolve: goOn } = deferred<undefined>()
  tree.volume.open = async () => {
    await opening
    return open()
  }
  device.put(request(FuseOpcode.OPEN, { nodeid: TEST_ID, args: packed([0, 4], [0, 4]) }), 'unmounted')
  await session.ended
  goOn(undefined)
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(tree.volume.opens, 0)
  assert.deepEqual(device.sent, [])
})

test(
  'what needs the tree before it can be served waits for that, each request with its own content',
  TIME_LIMIT,
  async () => {
    const { device, session, tree } = newSession({ generation: 2 })
    const write = (unique: bigint, offset: number, text: string): Uint8Array => {
      const args = Buffer.concat([ioArgs(1n, offset, text.length), Buffer.from(text)])
      return request(FuseOpcode.WRITE, { unique, nodeid: TEST_ID, args })
    }
    session.hold(() => Infinity)
    const wide = 'w'.repeat(256 * 1024)
    device.put(write(2n, 0, wide), write(4n, wide.length, 'small'), write(6n, 8, 'later'))
    assert.deepEqual(await device.exchange(request(FuseOpcode.FSYNCDIR, { args: packed([0, 8], [0, 8]) })), reply())
    const answered = (): number => device.sent.length
    assert.equal(answered(), 0)
    session.start()
    while (answered() < 3) await new Promise((resolve) => setImmediate(resolve))
    assert.ok(device.sent.every((answer) => answer.readInt32LE(4) === 0))
    const handle = await tree.volume.open()
    const into = Buffer.alloc(wide.length + 5)
    await handle.read(0, into)
    assert.equal(into.toString(), `${'w'.repeat(8)}later${'w'.repeat(wide.length - 13)}small`)
  },
)

test('what needs the tree before it can be served fails once it has waited for too long', TIME_LIMIT, async () => {
  const { device, session } = newSession({ generation: 2 })
  let limitMs = Infinity
  session.hold(() => limitMs)
  const getattr = { nodeid: TEST_ID, args: packed([0, 4], [0, 4], [0, 8]) }
  const failed = device.exchange(request(FuseOpcode.GETATTR, getattr))
  limitMs = 0
  assert.deepEqual(await failed, reply({ error: -EIO }))
  limitMs = Infinity
  const late = device.exchange(request(FuseOpcode.STATFS))
  session.start()
  assert.equal((await late).readInt32LE(4), 0)
  assert.equal((await device.exchange(request(FuseOpcode.GETATTR, getattr))).readInt32LE(4), 0)
})

test('a mount that ends before its tree can be served stays ended', TIME_LIMIT, async () => {
  const { device, session } = newSession({ generation: 2 })
  session.hold(() => Infinity)
  device.put(request(FuseOpcode.STATFS), 'unmounted')
  assert.equal(await session.ended, 'unmounted')
  session.start()
  await session.ready
  assert.ok(device.isClosed)
  assert.deepEqual(device.sent, [])
})

test('where requests cannot be sent again, a mount that was made anew is served all the same', TIME_LIMIT, () => {
  const { device, session } = serve({ generation: 2 })
  const refusal = Object.assign(new Error('invalid argument'), { code: 'EINVAL' })
  device.refusal = refusal
  assert.throws(() => {
    session.resend()
  }, /Linux 6\.9/)
  const anew = new FakeDevice()
  const options = { tree: new MemoryTree(4096), device: anew, log: silentLogger(), writeBack: false, generation: 2 }
  anew.refusal = refusal
  new Session(options).resend()
  assert.equal(anew.refusal, undefined)
})
