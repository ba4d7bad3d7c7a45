import { FuseNotify } from './fuse-abi.ts'
import { FUSE_REPLY_PAYLOAD, newFuseMessage, setReplyHeader, type FuseMessage } from './fuse-reply.ts'
import { FuseNotifyInvalEntryOut, FuseNotifyInvalInodeOut, FuseNotifyStoreOut, FuseSize } from './fuse-structs.ts'

const BODY = FUSE_REPLY_PAYLOAD

/**
 * FUSE_NOTIFY_RESEND: everything that was read from the device and not answered can be read again
 * (docs/fuse-kernel-protocol.md#12). Linux 6.9 and later, EINVAL before.
 */
export function notifyResend(): Uint8Array {
  return notification(FuseNotify.RESEND, 0).bytes
}

/** FUSE_NOTIFY_INVAL_INODE for attributes only: never blocks. */
export function notifyInvalAttributes(ino: number): Uint8Array {
  return notifyInvalInode(ino, -1)
}

/**
 * FUSE_NOTIFY_INVAL_INODE for attributes and all cached data. Writing it blocks while a page of the inode waits for the
 * server: never from the thread that serves.
 */
export function notifyInvalContent(ino: number): Uint8Array {
  return notifyInvalInode(ino, 0)
}

function notifyInvalInode(ino: number, off: number): Uint8Array {
  const { bytes, view } = notification(FuseNotify.INVAL_INODE, FuseSize.notifyInvalInodeOut)
  FuseNotifyInvalInodeOut.ino.set(view, ino, BODY)
  FuseNotifyInvalInodeOut.off.set(view, off, BODY)
  return bytes
}

/**
 * FUSE_NOTIFY_STORE of one byte, a zero, at `offset`: what is cached there becomes zero, and the file is at least as long.
 * Writing it blocks while that page waits for the server: never from the thread that serves.
 */
export function notifyStoreZero(nodeid: number, offset: number): Uint8Array {
  const { bytes, view } = notification(FuseNotify.STORE, FuseSize.notifyStoreOut + 1)
  FuseNotifyStoreOut.nodeid.set(view, nodeid, BODY)
  FuseNotifyStoreOut.offset.set(view, offset, BODY)
  FuseNotifyStoreOut.size.set(view, 1, BODY)
  return bytes
}

/**
 * FUSE_NOTIFY_INVAL_ENTRY: the name is looked up again. Writing it blocks while a lookup in the directory waits for the
 * server: never from the thread that serves.
 */
export function notifyInvalEntry(parent: number, name: Uint8Array): Uint8Array {
  const { bytes, view } = notification(FuseNotify.INVAL_ENTRY, FuseSize.notifyInvalEntryOut + name.length + 1)
  FuseNotifyInvalEntryOut.parent.set(view, parent, BODY)
  FuseNotifyInvalEntryOut.namelen.set(view, name.length, BODY)
  bytes.set(name, BODY + FuseSize.notifyInvalEntryOut)
  return bytes
}

function notification(code: number, size: number): FuseMessage {
  const message = newFuseMessage(size)
  setReplyHeader(message.view, message.bytes.length, code)
  return message
}
