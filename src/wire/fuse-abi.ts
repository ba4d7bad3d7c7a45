/**
 * Numbers of the kernel's FUSE protocol, under the kernel's names without their FUSE_ prefix (linux/fuse.h of 7.45).
 */

/** Protocol version spoken here. Both sides use the lower minor. */
export const FUSE_KERNEL_VERSION = 7
export const FUSE_KERNEL_MINOR_VERSION = 45

/** Bytes a device read must offer beyond max_write: headers of a WRITE, with room to spare. */
export const FUSE_BUFFER_HEADER_SIZE = 4096

/** enum fuse_opcode. */
export const FuseOpcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  SETLK: 32,
  SETLKW: 33,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  NOTIFY_REPLY: 41,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const

/** enum fuse_notify_code: the `error` of a message from the server that answers no request. */
export const FuseNotify = {
  POLL: 1,
  INVAL_INODE: 2,
  INVAL_ENTRY: 3,
  STORE: 4,
  RETRIEVE: 5,
  DELETE: 6,
  RESEND: 7,
} as const

/** INIT flags: bits of `flags`. */
export const FuseInit = {
  ASYNC_READ: 2 ** 0,
  ATOMIC_O_TRUNC: 2 ** 3,
  BIG_WRITES: 2 ** 5,
  AUTO_INVAL_DATA: 2 ** 12,
  DO_READDIRPLUS: 2 ** 13,
  READDIRPLUS_AUTO: 2 ** 14,
  ASYNC_DIO: 2 ** 15,
  WRITEBACK_CACHE: 2 ** 16,
  PARALLEL_DIROPS: 2 ** 18,
  ABORT_ERROR: 2 ** 21,
  MAX_PAGES: 2 ** 22,
  EXPLICIT_INVAL_DATA: 2 ** 25,
  INIT_EXT: 2 ** 30, // flags2 counts
} as const

/** INIT flags from bit 32 on, as bits of `flags2`. */
export const FuseInit2 = {
  DIRECT_IO_ALLOW_MMAP: 2 ** 4,
  HAS_RESEND: 2 ** 7,
} as const

/** fuse_open_out.open_flags. */
export const Fopen = {
  DIRECT_IO: 2 ** 0,
  KEEP_CACHE: 2 ** 1,
  NOFLUSH: 2 ** 5,
  PARALLEL_DIRECT_WRITES: 2 ** 6,
} as const

/** fuse_write_in.write_flags. */
export const FuseWrite = {
  CACHE: 2 ** 0, // pages that the kernel held back
} as const

/** fuse_getattr_in.getattr_flags. */
export const FuseGetattr = {
  FH: 2 ** 0,
} as const

/** fuse_setattr_in.valid. */
export const Fattr = {
  MODE: 2 ** 0,
  UID: 2 ** 1,
  GID: 2 ** 2,
  SIZE: 2 ** 3,
  ATIME: 2 ** 4,
  MTIME: 2 ** 5,
  FH: 2 ** 6,
  CTIME: 2 ** 10,
} as const

/** fallocate(2) modes that the kernel passes on (linux/falloc.h). */
export const FallocFl = {
  KEEP_SIZE: 0x01,
  PUNCH_HOLE: 0x02,
  ZERO_RANGE: 0x10,
} as const

/** lseek(2) whence values that the kernel passes on. */
export const Seek = { DATA: 3, HOLE: 4 } as const

/** fuse_dirent.type: S_IFMT >> 12. */
export const DirentType = { DIRECTORY: 4, REGULAR: 8 } as const

/** File types of fuse_attr.mode (linux/stat.h). */
export const FileType = { DIRECTORY: 0o040000, REGULAR: 0o100000 } as const
