import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { silentLogger } from '../../../src/log.ts'
import { FuseInit, FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { MemoryTree } from '../memory-tree.ts'
import { FakeDevice, packed, reply, request } from './fake-device.ts'
import { TIME_LIMIT } from './fake-session.ts'

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
