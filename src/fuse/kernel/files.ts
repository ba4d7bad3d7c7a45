import { constants } from 'node:os'
import type { Handle } from '../../tree/node.ts'
import { FallocFl, Fopen, FuseWrite, Seek } from '../../wire/fuse-abi.ts'
import { FUSE_REPLY_PAYLOAD, lseekOut, openOut, writeOut } from '../../wire/fuse-reply.ts'
import {
  FuseFallocateIn,
  FuseFsyncIn,
  FuseLseekIn,
  FuseOpenIn,
  FuseReadIn,
  FuseReleaseIn,
  FuseWriteIn,
} from '../../wire/fuse-structs.ts'
import { ARGS, type Reply, type Request, type Served } from './operation.ts'

const { EINTR, EINVAL, EISDIR, ENOSPC, EOPNOTSUPP, ESTALE } = constants.errno
const ACCESS_MODE = 3 // O_ACCMODE: 0 is O_RDONLY

/**
 * Writes of several clients at once (docs/fuse-kernel-protocol.md#7); nothing to flush on close, because a write is done
 * when it is answered.
 */
const DIRECT = Fopen.DIRECT_IO | Fopen.PARALLEL_DIRECT_WRITES | Fopen.NOFLUSH
const CACHED = Fopen.KEEP_CACHE

/** OPEN. */
export async function open(served: Served, request: Request): Promise<Reply> {
  const write = (FuseOpenIn.flags.get(request.view, ARGS) & ACCESS_MODE) !== 0
  const node = served.tree.node(request.nodeid)
  if (node === undefined) return ESTALE
  if (node.kind === 'directory') return EISDIR
  const { fh, handle } = await served.files.open(node, { write }, request)
  if (request.isGivenUp) {
    await served.files.release(fh, request.nodeid)
    return EINTR
  }
  if (handle.caching === 'direct') return openOut(fh, DIRECT)
  return openOut(fh, handle.dropsCache === true ? 0 : CACHED) // without KEEP_CACHE the kernel drops what it has
}

/** RELEASE. Nobody waits for the answer. */
export async function release(served: Served, request: Request): Promise<Reply> {
  const fh = FuseReleaseIn.fh.get(request.view, ARGS)
  served.sizes.closed(request.nodeid, fh)
  await served.files.release(fh, request.nodeid)
  return 0
}

/** READ, into a buffer that starts with room for the header of the reply. */
export async function read(served: Served, request: Request): Promise<Reply> {
  const { view, nodeid } = request
  const fh = FuseReadIn.fh.get(view, ARGS)
  const offset = FuseReadIn.offset.get(view, ARGS)
  const size = FuseReadIn.size.get(view, ARGS)
  request.replyBuffer = served.buffers.take(FUSE_REPLY_PAYLOAD + size)
  const { bytes, view: replyView } = request.replyBuffer
  const handle = served.files.find(fh) ?? (await served.files.adopt(fh, nodeid))
  const length = await handle.read(offset, bytes.subarray(FUSE_REPLY_PAYLOAD, FUSE_REPLY_PAYLOAD + size))
  return { bytes: bytes.subarray(0, FUSE_REPLY_PAYLOAD + length), view: replyView }
}

/**
 * WRITE. With write-back the fh is any writable one of the file, and the kernel overlooks that less was written than it
 * held back: what did not fit must be an error, or fsync(2) would not tell (docs/fuse-kernel-protocol.md#7).
 */
export async function write(served: Served, request: Request): Promise<Reply> {
  const { view, nodeid, data } = request
  const fh = FuseWriteIn.fh.get(view, ARGS)
  const offset = FuseWriteIn.offset.get(view, ARGS)
  if (data?.length !== FuseWriteIn.size.get(view, ARGS)) return EINVAL
  const handle = served.files.find(fh) ?? (await served.files.adopt(fh, nodeid))
  const written = await handle.write(offset, data)
  const isHeldBack = (FuseWriteIn.writeFlags.get(view, ARGS) & FuseWrite.CACHE) !== 0
  return isHeldBack && written < data.length ? ENOSPC : writeOut(written)
}

/** FSYNC. */
export async function fsync(served: Served, request: Request): Promise<Reply> {
  const { view, nodeid } = request
  const fh = FuseFsyncIn.fh.get(view, ARGS)
  const handle = served.files.find(fh) ?? (await served.files.adopt(fh, nodeid))
  await handle.sync()
  return 0
}

/** LSEEK, SEEK_DATA and SEEK_HOLE only: the kernel does the rest by itself (docs/fuse-kernel-protocol.md#8). */
export async function lseek(served: Served, request: Request): Promise<Reply> {
  const { view, nodeid } = request
  const fh = FuseLseekIn.fh.get(view, ARGS)
  const offset = FuseLseekIn.offset.get(view, ARGS)
  const whence = FuseLseekIn.whence.get(view, ARGS)
  if (whence !== Seek.DATA && whence !== Seek.HOLE) return EINVAL
  const handle = served.files.find(fh) ?? (await served.files.adopt(fh, nodeid))
  return lseekOut(await handle.seek(offset, whence === Seek.DATA ? 'data' : 'hole'))
}

/**
 * FALLOCATE. Allocating inside the file needs nothing; past its end there is no space, since only truncate makes a volume
 * grow. What lies past the end has nothing to be zeroed.
 */
export async function fallocate(served: Served, request: Request): Promise<Reply> {
  const { view, nodeid } = request
  const fh = FuseFallocateIn.fh.get(view, ARGS)
  const offset = FuseFallocateIn.offset.get(view, ARGS)
  const end = offset + FuseFallocateIn.length.get(view, ARGS)
  const mode = FuseFallocateIn.mode.get(view, ARGS)
  const node = served.tree.node(nodeid)
  if (node === undefined) return ESTALE
  const handle = served.files.find(fh) ?? (await served.files.adopt(fh, nodeid))
  const { size } = await node.attributes()
  if (end > size && (mode & FallocFl.PUNCH_HOLE) === 0 && mode !== ZERO_KEEPING_SIZE) return ENOSPC
  return deallocate(handle, mode, { offset, length: Math.min(end, size) - offset })
}

const PUNCH_KEEPING_SIZE = FallocFl.PUNCH_HOLE | FallocFl.KEEP_SIZE
const ZERO_KEEPING_SIZE = FallocFl.ZERO_RANGE | FallocFl.KEEP_SIZE

async function deallocate(handle: Handle, mode: number, range: { offset: number; length: number }): Promise<Reply> {
  switch (mode) {
    case 0:
    case FallocFl.KEEP_SIZE:
      return 0
    case PUNCH_KEEPING_SIZE:
    case FallocFl.ZERO_RANGE:
    case ZERO_KEEPING_SIZE:
      if (range.length > 0) await handle.zero(range.offset, range.length, { release: mode === PUNCH_KEEPING_SIZE })
      return 0
    default:
      return EOPNOTSUPP
  }
}
