import { viewOf } from './field.ts'
import {
  FUSE_ATTR_OUT_ATTR,
  FUSE_ENTRY_OUT_ATTR,
  FuseAttr,
  FuseAttrOut,
  FuseEntryOut,
  FuseInitOut,
  FuseKstatfs,
  FuseLseekOut,
  FuseOpenOut,
  FuseOutHeader,
  FuseSize,
  FuseWriteOut,
} from './fuse-structs.ts'

/** Where the payload of a reply starts: every function here leaves that much room for the header. */
export const FUSE_REPLY_PAYLOAD = FuseSize.outHeader

const BODY = FUSE_REPLY_PAYLOAD

/** A message to the kernel in memory of its own, with the view of that memory. */
export interface FuseMessage {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** A message of zeros with a payload of `size` bytes. */
export function newFuseMessage(size: number): FuseMessage {
  const bytes = new Uint8Array(BODY + size)
  return { bytes, view: viewOf(bytes) }
}

/** What fuse_attr says of a node. Sizes in bytes, times in milliseconds since 1970; of the last access nothing is kept. */
export interface FuseAttributes {
  /** What the kernel knows the node by. */
  readonly nodeid: number
  readonly ino: number
  readonly size: number
  readonly allocated: number
  /** File type and permission bits. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly modifiedMs: number
  readonly changedMs: number
  readonly blockSize: number
  /** Seconds for which the kernel need not ask again. */
  readonly validS: number
}

/** Fills in the header of a message of `length` bytes. `error` is 0 or a negative errno, or a notification's code. */
export function setReplyHeader(view: DataView, length: number, error: number): void {
  FuseOutHeader.len.set(view, length)
  FuseOutHeader.error.set(view, error)
}

/** The reply of GETATTR and SETATTR. */
export function attrOut(attributes: FuseAttributes): FuseMessage {
  const reply = newFuseMessage(FuseSize.attrOut)
  const { view } = reply
  FuseAttrOut.attrValid.set(view, attributes.validS, BODY)
  setAttr(view, attributes, BODY + FUSE_ATTR_OUT_ATTR)
  return reply
}

/** The reply of LOOKUP. `entryValidS`: seconds for which the kernel need not look the name up again. */
export function entryOut(attributes: FuseAttributes, entryValidS: number): FuseMessage {
  const reply = newFuseMessage(FuseSize.entryOut)
  setEntry(reply.view, attributes, { entryValidS, at: BODY })
  return reply
}

/** Writes a struct fuse_entry_out at `at`. */
export function setEntry(
  view: DataView,
  attributes: FuseAttributes,
  { entryValidS, at }: { entryValidS: number; at: number },
): void {
  FuseEntryOut.nodeid.set(view, attributes.nodeid, at)
  FuseEntryOut.entryValid.set(view, entryValidS, at)
  FuseEntryOut.attrValid.set(view, attributes.validS, at)
  setAttr(view, attributes, at + FUSE_ENTRY_OUT_ATTR)
}

function setAttr(view: DataView, attributes: FuseAttributes, at: number): void {
  const modified = timespec(attributes.modifiedMs)
  const changed = timespec(attributes.changedMs)
  FuseAttr.ino.set(view, attributes.ino, at)
  FuseAttr.size.set(view, attributes.size, at)
  FuseAttr.blocks.set(view, Math.ceil(attributes.allocated / 512), at)
  FuseAttr.atime.set(view, modified.seconds, at)
  FuseAttr.mtime.set(view, modified.seconds, at)
  FuseAttr.ctime.set(view, changed.seconds, at)
  FuseAttr.atimensec.set(view, modified.nanoseconds, at)
  FuseAttr.mtimensec.set(view, modified.nanoseconds, at)
  FuseAttr.ctimensec.set(view, changed.nanoseconds, at)
  FuseAttr.mode.set(view, attributes.mode, at)
  FuseAttr.nlink.set(view, attributes.nlink, at)
  FuseAttr.uid.set(view, attributes.uid, at)
  FuseAttr.gid.set(view, attributes.gid, at)
  FuseAttr.blksize.set(view, attributes.blockSize, at)
}

function timespec(ms: number): { seconds: number; nanoseconds: number } {
  const seconds = Math.floor(ms / 1000)
  return { seconds, nanoseconds: Math.floor((ms - seconds * 1000) * 1e6) }
}

/** The reply of OPEN and OPENDIR. The kernel gives `fh` back with every request of that open. */
export function openOut(fh: number, openFlags: number): FuseMessage {
  const reply = newFuseMessage(FuseSize.openOut)
  const { view } = reply
  FuseOpenOut.fh.set(view, fh, BODY)
  FuseOpenOut.openFlags.set(view, openFlags, BODY)
  return reply
}

/** The reply of WRITE: bytes taken. */
export function writeOut(size: number): FuseMessage {
  const reply = newFuseMessage(FuseSize.writeOut)
  FuseWriteOut.size.set(reply.view, size, BODY)
  return reply
}

/** The reply of LSEEK: the new position. */
export function lseekOut(offset: number): FuseMessage {
  const reply = newFuseMessage(FuseSize.lseekOut)
  FuseLseekOut.offset.set(reply.view, offset, BODY)
  return reply
}

/** The reply of STATFS. Space in blocks of `blockSize` bytes. */
export function statfsOut(space: { blocks: number; free: number; blockSize: number; nameLength: number }): FuseMessage {
  const reply = newFuseMessage(FuseSize.kstatfs)
  const { view } = reply
  FuseKstatfs.blocks.set(view, space.blocks, BODY)
  FuseKstatfs.bfree.set(view, space.free, BODY)
  FuseKstatfs.bavail.set(view, space.free, BODY)
  FuseKstatfs.bsize.set(view, space.blockSize, BODY)
  FuseKstatfs.frsize.set(view, space.blockSize, BODY)
  FuseKstatfs.namelen.set(view, space.nameLength, BODY)
  return reply
}

/** What the server grants in the reply of INIT. */
export interface FuseGrant {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly flags2: number
  readonly maxBackground: number
  readonly congestionThreshold: number
  readonly maxWrite: number
  readonly maxPages: number
}

/** The reply of INIT. */
export function initOut(grant: FuseGrant): FuseMessage {
  const reply = newFuseMessage(FuseSize.initOut)
  const { view } = reply
  FuseInitOut.major.set(view, grant.major, BODY)
  FuseInitOut.minor.set(view, grant.minor, BODY)
  FuseInitOut.maxReadahead.set(view, grant.maxReadahead, BODY)
  FuseInitOut.flags.set(view, grant.flags, BODY)
  FuseInitOut.flags2.set(view, grant.flags2, BODY)
  FuseInitOut.maxBackground.set(view, grant.maxBackground, BODY)
  FuseInitOut.congestionThreshold.set(view, grant.congestionThreshold, BODY)
  FuseInitOut.maxWrite.set(view, grant.maxWrite, BODY)
  FuseInitOut.timeGran.set(view, 1, BODY)
  FuseInitOut.maxPages.set(view, grant.maxPages, BODY)
  return reply
}
