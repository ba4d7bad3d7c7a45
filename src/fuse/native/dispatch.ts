import { constants } from 'node:os'
import type { Logger } from '../../log.ts'
import { errnoOf } from '../errno.ts'
import type { NativeBinding, NativeHandler } from './binding.ts'
import type { Listing, Operations } from './operations.ts'
import { NO_STAT, NO_STATVFS } from './stat-layout.ts'

const { errno } = constants

/** Length of the handler table in fuse-native.c. */
const TABLE_LENGTH = 35

/** Names cannot be made, removed or moved here, by anybody. */
const REFUSED = ['mknod', 'mkdir', 'unlink', 'rmdir', 'rename', 'link', 'symlink'] as const

/** Permission bits of a mode. */
const MODE_BITS = 0o7777
/** (uid_t) -1 */
const NO_ID = 0xffff_ffff

const NO_ENTRIES: Listing = { names: [], stats: [] }

/** The operations as fuse-native.c wants them: handlers by opcode, and a word 1 for each that libfuse may call. */
export interface HandlerTable {
  readonly handlers: readonly (NativeHandler | undefined)[]
  readonly implemented: Uint32Array
}

export interface DispatchOptions {
  readonly binding: NativeBinding
  readonly operations: Operations
  readonly log: Logger
  /** Called once, when libfuse is about to answer the kernel's INIT. */
  readonly onInit: () => void
}

/**
 * Every handler answers its request exactly once, whatever happens: libfuse has no other way to end it. What is left out
 * (xattr, locks, flush, fallocate) libfuse answers with ENOSYS, which the kernel remembers.
 */
export function createHandlerTable(options: DispatchOptions): HandlerTable {
  const handlers = new Array<NativeHandler | undefined>(TABLE_LENGTH)
  addLifeCycle(handlers, options)
  addAttributes(handlers, options)
  addFiles(handlers, options)
  addRefusals(handlers, options)
  return { handlers, implemented: Uint32Array.from(handlers, (handler) => (handler === undefined ? 0 : 1)) }
}

type Handlers = (NativeHandler | undefined)[]

function addLifeCycle(handlers: Handlers, { binding, onInit }: DispatchOptions): void {
  handlers[binding.op_init] = (request) => {
    binding.fuse_native_signal_init(request, 0)
    onInit()
  }
}

function addAttributes(handlers: Handlers, { binding, operations, log }: DispatchOptions): void {
  const answer = answerWith(log)
  handlers[binding.op_getattr] = (request, _, path: string) => {
    answer('getattr', operations.getattr(path), (result, stat = NO_STAT) => {
      binding.fuse_native_signal_getattr(request, result, stat)
    })
  }
  handlers[binding.op_fgetattr] = (request, _, _path: string, file: number) => {
    answer('fgetattr', operations.fgetattr(file), (result, stat = NO_STAT) => {
      binding.fuse_native_signal_fgetattr(request, result, stat)
    })
  }
  handlers[binding.op_statfs] = (request) => {
    answer('statfs', operations.statfs(), (result, statvfs = NO_STATVFS) => {
      binding.fuse_native_signal_statfs(request, result, statvfs)
    })
  }
  handlers[binding.op_readdir] = (request, _, path: string) => {
    const listing = new Promise<Listing>((resolve) => {
      resolve(operations.readdir(path))
    })
    answer<Listing>('readdir', listing, (result, { names, stats } = NO_ENTRIES) => {
      binding.fuse_native_signal_readdir(request, result, names, stats)
    })
  }
  handlers[binding.op_truncate] = (request, _, path: string, low: number, high: number) => {
    answer('truncate', operations.truncate(path, wide(low, high)), (result) => {
      binding.fuse_native_signal_truncate(request, result)
    })
  }
  handlers[binding.op_ftruncate] = (request, _, _path: string, file: number, low: number, high: number) => {
    answer('ftruncate', operations.ftruncate(file, wide(low, high)), (result) => {
      binding.fuse_native_signal_ftruncate(request, result)
    })
  }
  handlers[binding.op_chmod] = (request, _, path: string, mode: number) => {
    answer('chmod', operations.change(path, { mode: mode & MODE_BITS }), (result) => {
      binding.fuse_native_signal_chmod(request, result)
    })
  }
  handlers[binding.op_chown] = (request, _, path: string, uid: number, gid: number) => {
    answer('chown', operations.change(path, owner(uid, gid)), (result) => {
      binding.fuse_native_signal_chown(request, result)
    })
  }
  // fuse-native.c gives the time of access for both: what touch(1), tar(1) and the like set is taken, and not kept
  handlers[binding.op_utimens] = (request) => {
    binding.fuse_native_signal_utimens(request, 0)
  }
}

function addFiles(handlers: Handlers, { binding, operations, log }: DispatchOptions): void {
  const answer = answerWith(log)
  handlers[binding.op_open] = (request, _, path: string, flags: number) => {
    answer('open', operations.open(path, flags), (result, file = 0) => {
      binding.fuse_native_signal_open(request, result, file)
    })
  }
  handlers[binding.op_read] = (request, _, _path: string, file: number, ...[into, , low, high]: Transfer) => {
    answer('read', operations.read(file, wide(low, high), into), (result, read = result) => {
      binding.fuse_native_signal_read(request, read, 0, into.buffer)
    })
  }
  handlers[binding.op_write] = (request, _, _path: string, file: number, ...[data, , low, high]: Transfer) => {
    answer('write', operations.write(file, wide(low, high), data), (result, written = result) => {
      binding.fuse_native_signal_write(request, written, 0, data.buffer)
    })
  }
  handlers[binding.op_fsync] = (request, _, _path: string, _datasync: number, file: number) => {
    answer('fsync', operations.fsync(file), (result) => {
      binding.fuse_native_signal_fsync(request, result)
    })
  }
  handlers[binding.op_release] = (request, _, _path: string, file: number) => {
    answer('release', operations.release(file), (result) => {
      binding.fuse_native_signal_release(request, result)
    })
  }
}

type Transfer = [buffer: Buffer, length: number, positionLow: number, positionHigh: number]

function addRefusals(handlers: Handlers, { binding }: DispatchOptions): void {
  for (const name of REFUSED) {
    handlers[binding[`op_${name}`]] = (request) => {
      binding[`fuse_native_signal_${name}`](request, -errno.EPERM)
    }
  }
  handlers[binding.op_create] = (request) => {
    binding.fuse_native_signal_create(request, -errno.EPERM, 0)
  }
}

/** Replies with 0 and the value, or with the negative errno of the failure alone. */
function answerWith(log: Logger) {
  return <T>(operation: string, work: Promise<T>, reply: (result: number, value?: T) => void): void => {
    work.then(
      (value) => {
        reply(0, value)
      },
      (error: unknown) => {
        reply(-errnoOf(error, operation, log))
      },
    )
  }
}

/** What chown(2) is to set: -1 is nothing. */
function owner(uid: number, gid: number): { uid?: number; gid?: number } {
  return { ...(uid >>> 0 === NO_ID ? {} : { uid }), ...(gid >>> 0 === NO_ID ? {} : { gid }) }
}

function wide(low: number, high: number): number {
  return low + high * 2 ** 32
}
