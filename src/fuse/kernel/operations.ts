import { constants } from 'node:os'
import { FuseOpcode } from '../../wire/fuse-abi.ts'
import { FUSE_INIT_IN_MIN_SIZE, FuseInterruptIn, FuseSize } from '../../wire/fuse-structs.ts'
import { getattr, lookup, statfs } from './attributes.ts'
import { opendir, readdir, readdirplus, releasedir } from './directories.ts'
import { fallocate, fsync, lseek, open, read, release, write } from './files.ts'
import { ARGS, NO_REPLY, requestId, type Operation, type Reply, type Request, type Served } from './operation.ts'
import { setattr } from './setattr.ts'

const { ENOTTY, EPERM } = constants.errno

type OperationName = keyof typeof FuseOpcode

const TABLE: Partial<Record<OperationName, Omit<Operation, 'name'>>> = {
  INIT: { argsSize: FUSE_INIT_IN_MIN_SIZE, handle: (served, request) => served.negotiate(request) },
  DESTROY: { argsSize: 0, handle: () => 0 },
  FORGET: { argsSize: 0, handle: () => NO_REPLY }, // node ids are never reused (docs/fuse-kernel-protocol.md#5)
  BATCH_FORGET: { argsSize: 0, handle: () => NO_REPLY },
  INTERRUPT: { argsSize: FuseSize.interruptIn, handle: interrupt },
  NOTIFY_REPLY: { argsSize: 0, handle: () => NO_REPLY },

  LOOKUP: { argsSize: 1, needsTree: true, handle: lookup },
  GETATTR: { argsSize: FuseSize.getattrIn, needsTree: true, handle: getattr },
  SETATTR: { argsSize: FuseSize.setattrIn, needsTree: true, handle: setattr },
  STATFS: { argsSize: 0, needsTree: true, handle: statfs },

  OPENDIR: { argsSize: FuseSize.openIn, needsTree: true, handle: opendir },
  READDIR: { argsSize: FuseSize.readIn, needsTree: true, handle: readdir },
  READDIRPLUS: { argsSize: FuseSize.readIn, needsTree: true, handle: readdirplus },
  RELEASEDIR: { argsSize: FuseSize.releaseIn, handle: releasedir },
  FSYNCDIR: { argsSize: FuseSize.fsyncIn, handle: () => 0 },

  OPEN: { argsSize: FuseSize.openIn, needsTree: true, handle: open },
  READ: { argsSize: FuseSize.readIn, needsTree: true, handle: read },
  WRITE: { argsSize: FuseSize.writeIn, keepsData: true, needsTree: true, handle: write },
  FSYNC: { argsSize: FuseSize.fsyncIn, needsTree: true, handle: fsync },
  FALLOCATE: { argsSize: FuseSize.fallocateIn, needsTree: true, handle: fallocate },
  LSEEK: { argsSize: FuseSize.lseekIn, needsTree: true, handle: lseek },
  RELEASE: { argsSize: FuseSize.releaseIn, handle: release },
  IOCTL: { argsSize: 0, handle: () => ENOTTY },

  // the tree's names are fixed
  MKNOD: { argsSize: 0, handle: () => EPERM },
  MKDIR: { argsSize: 0, handle: () => EPERM },
  UNLINK: { argsSize: 0, handle: () => EPERM },
  RMDIR: { argsSize: 0, handle: () => EPERM },
  SYMLINK: { argsSize: 0, handle: () => EPERM },
  LINK: { argsSize: 0, handle: () => EPERM },
  RENAME: { argsSize: 0, handle: () => EPERM },
  RENAME2: { argsSize: 0, handle: () => EPERM },
  CREATE: { argsSize: 0, handle: () => EPERM },
  TMPFILE: { argsSize: 0, handle: () => EPERM },
}

/** A signal has reached a requester. Unless it is killed it goes on waiting: an application never sees EINTR from a disk. */
function interrupt({ requests }: Served, { view }: Request): Reply {
  requests.interrupted(requestId(FuseInterruptIn.uniqueLow.get(view, ARGS), FuseInterruptIn.uniqueHigh.get(view, ARGS)))
  return NO_REPLY
}

/** The operations that are served, by opcode. */
export const OPERATIONS: ReadonlyMap<number, Operation> = new Map(
  Object.entries(TABLE).map(([name, operation]) => [FuseOpcode[name as OperationName], { name, ...operation }]),
)
