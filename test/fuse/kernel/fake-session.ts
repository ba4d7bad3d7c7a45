import assert from 'node:assert/strict'
import { Session } from '../../../src/fuse/kernel/session.ts'
import { silentLogger, type Logger } from '../../../src/log.ts'
import { FuseOpcode } from '../../../src/wire/fuse-abi.ts'
import { MemoryTree } from '../memory-tree.ts'
import { FakeDevice, packed, request } from './fake-device.ts'

/** Node id of volume/test. */
export const TEST_ID = 10
export const TIME_LIMIT = { timeout: 10_000 }

const O_RDWR = 2
const NEGOTIATED = { minor: 45, flags: 0, flags2: 0, maxWrite: 1 << 20, maxPages: 256, canResend: true }

/** A session over a fake device that has its INIT behind it. */
export function serve(options: SessionSettings = {}): { tree: MemoryTree; device: FakeDevice; session: Session } {
  const served = newSession(options)
  served.session.start()
  return served
}

interface SessionSettings {
  readonly generation?: number
  readonly log?: Logger
  readonly memoryLimit?: number
}

/** The same before it serves. */
export function newSession(options: SessionSettings = {}): ReturnType<typeof serve> {
  const tree = new MemoryTree(1 << 20)
  const device = new FakeDevice()
  const { generation = 1, log = silentLogger(), memoryLimit = 40 << 20 } = options
  const session = new Session({
    ...{ tree, device, log, generation, memoryLimit, writeBack: false, negotiated: NEGOTIATED },
  })
  return { tree, device, session }
}

/** Opens volume/test and returns its fh. */
export async function openTest(device: FakeDevice, flags: number = O_RDWR): Promise<bigint> {
  const args = packed([flags, 4], [0, 4])
  const opened = await device.exchange(request(FuseOpcode.OPEN, { nodeid: TEST_ID, args }))
  assert.equal(opened.length, 32)
  return opened.readBigUInt64LE(16)
}

/** struct fuse_read_in, or fuse_write_in without its data. */
export function ioArgs(fh: bigint, offset: number | bigint, size: number): Buffer {
  return packed([fh, 8], [offset, 8], [size, 4], [0, 4], [0, 8], [0, 4], [0, 4])
}
