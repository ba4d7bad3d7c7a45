import { i32, i64, u16, u32, u64 } from './field.ts'

/**
 * Structs of the kernel's FUSE protocol, member names of linux/fuse.h in camel case (7.45; the host's byte order, which is
 * little-endian on x86-64 and arm64). Offsets are from the struct's own start. `…Low` and `…High` are halves of the member.
 */

/** sizeof of each struct below. */
export const FuseSize = {
  inHeader: 40,
  outHeader: 16,
  attr: 88,
  attrOut: 104,
  entryOut: 128,
  getattrIn: 16,
  setattrIn: 88,
  openIn: 8,
  openOut: 16,
  readIn: 40,
  writeIn: 40,
  writeOut: 8,
  releaseIn: 24,
  fsyncIn: 16,
  interruptIn: 8,
  kstatfs: 80,
  initIn: 64,
  initOut: 64,
  fallocateIn: 32,
  lseekIn: 24,
  lseekOut: 8,
  dirent: 24, // without the name
  direntplus: 152, // without the name
  notifyInvalInodeOut: 24,
  notifyInvalEntryOut: 16,
  notifyStoreOut: 24,
} as const

/** struct fuse_in_header: starts every request. */
export const FuseInHeader = {
  len: u32(0),
  opcode: u32(4),
  unique: u64(8),
  uniqueLow: u32(8),
  uniqueHigh: u32(12), // bit 31 marks a request that was sent again: the reply must carry it
  nodeid: u64(16),
  uid: u32(24),
  gid: u32(28),
  pid: u32(32), // 0: the kernel's own
  totalExtlen: u16(36),
} as const

/** struct fuse_out_header: starts every reply and notification. */
export const FuseOutHeader = {
  len: u32(0),
  error: i32(4), // 0 or a negative errno; a notification's code
  unique: u64(8), // 0: a notification
  uniqueLow: u32(8),
  uniqueHigh: u32(12),
} as const

/** struct fuse_interrupt_in: the request whose requester was signalled. */
export const FuseInterruptIn = {
  uniqueLow: u32(0),
  uniqueHigh: u32(4),
} as const

/** struct fuse_attr. Times are seconds and nanoseconds since 1970. */
export const FuseAttr = {
  ino: u64(0),
  size: u64(8),
  blocks: u64(16), // of 512 bytes
  atime: u64(24),
  mtime: u64(32),
  ctime: u64(40),
  atimensec: u32(48),
  mtimensec: u32(52),
  ctimensec: u32(56),
  mode: u32(60),
  nlink: u32(64),
  uid: u32(68),
  gid: u32(72),
  rdev: u32(76),
  blksize: u32(80),
  flags: u32(84),
} as const

/** struct fuse_attr_out, up to its attr. */
export const FuseAttrOut = {
  attrValid: u64(0), // seconds
  attrValidNsec: u32(8),
} as const
export const FUSE_ATTR_OUT_ATTR = 16

/** struct fuse_entry_out, up to its attr. */
export const FuseEntryOut = {
  nodeid: u64(0),
  generation: u64(8),
  entryValid: u64(16), // seconds
  attrValid: u64(24),
  entryValidNsec: u32(32),
  attrValidNsec: u32(36),
} as const
export const FUSE_ENTRY_OUT_ATTR = 40

/** struct fuse_getattr_in. */
export const FuseGetattrIn = {
  getattrFlags: u32(0),
  fh: u64(8),
} as const

/** struct fuse_setattr_in. */
export const FuseSetattrIn = {
  valid: u32(0),
  fh: u64(8),
  size: u64(16),
  mtime: i64(40), // seconds and nanoseconds since 1970
  ctime: i64(48),
  mtimensec: u32(60),
  ctimensec: u32(64),
  mode: u32(68),
  uid: u32(76),
  gid: u32(80),
} as const

/** struct fuse_open_in: OPEN and OPENDIR. */
export const FuseOpenIn = {
  flags: u32(0), // those of open(2)
  openFlags: u32(4),
} as const

/** struct fuse_open_out. */
export const FuseOpenOut = {
  fh: u64(0),
  openFlags: u32(8),
} as const

/** struct fuse_read_in: READ, READDIR, READDIRPLUS. */
export const FuseReadIn = {
  fh: u64(0),
  offset: u64(8),
  size: u32(16),
  readFlags: u32(20),
  flags: u32(32),
} as const

/** struct fuse_write_in; the data follow. */
export const FuseWriteIn = {
  fh: u64(0),
  offset: u64(8),
  size: u32(16),
  writeFlags: u32(20),
  flags: u32(32),
} as const

/** struct fuse_write_out. */
export const FuseWriteOut = { size: u32(0) } as const

/** struct fuse_release_in: RELEASE and RELEASEDIR. */
export const FuseReleaseIn = {
  fh: u64(0),
  flags: u32(8),
  releaseFlags: u32(12),
} as const

/** struct fuse_fsync_in. */
export const FuseFsyncIn = {
  fh: u64(0),
  fsyncFlags: u32(8),
} as const

/** struct fuse_kstatfs: the reply of STATFS. */
export const FuseKstatfs = {
  blocks: u64(0), // of frsize bytes, as the next two
  bfree: u64(8),
  bavail: u64(16),
  files: u64(24),
  ffree: u64(32),
  bsize: u32(40),
  namelen: u32(44),
  frsize: u32(48),
} as const

/** struct fuse_init_in. Kernels before 5.17 send its first 16 bytes only. */
export const FuseInitIn = {
  major: u32(0),
  minor: u32(4),
  maxReadahead: u32(8),
  flags: u32(12),
  flags2: u32(16),
} as const
export const FUSE_INIT_IN_MIN_SIZE = 16

/** struct fuse_init_out. */
export const FuseInitOut = {
  major: u32(0),
  minor: u32(4),
  maxReadahead: u32(8),
  flags: u32(12),
  maxBackground: u16(16), // 0 means 12
  congestionThreshold: u16(18),
  maxWrite: u32(20),
  timeGran: u32(24), // nanoseconds
  maxPages: u16(28), // of 4096 bytes, per request
  mapAlignment: u16(30),
  flags2: u32(32), // read only when INIT_EXT is set in flags
} as const

/** struct fuse_fallocate_in. */
export const FuseFallocateIn = {
  fh: u64(0),
  offset: u64(8),
  length: u64(16),
  mode: u32(24),
} as const

/** struct fuse_lseek_in. */
export const FuseLseekIn = {
  fh: u64(0),
  offset: u64(8),
  whence: u32(16),
} as const

/** struct fuse_lseek_out. */
export const FuseLseekOut = { offset: u64(0) } as const

/** struct fuse_dirent; the name follows, padded to 8 bytes. */
export const FuseDirent = {
  ino: u64(0),
  off: u64(8), // where to go on reading after this entry
  namelen: u32(16),
  type: u32(20),
} as const

/** struct fuse_notify_inval_inode_out. */
export const FuseNotifyInvalInodeOut = {
  ino: u64(0),
  off: i64(8), // negative: attributes only
  len: i64(16), // 0 or less: to the end
} as const

/** struct fuse_notify_inval_entry_out; the name and a NUL follow. */
export const FuseNotifyInvalEntryOut = {
  parent: u64(0),
  namelen: u32(8),
  flags: u32(12),
} as const

/** struct fuse_notify_store_out; the data follow. */
export const FuseNotifyStoreOut = {
  nodeid: u64(0),
  offset: u64(8),
  size: u32(16),
} as const
