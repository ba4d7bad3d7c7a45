import { FUSE_REPLY_PAYLOAD, newFuseMessage, setEntry, type FuseAttributes, type FuseMessage } from './fuse-reply.ts'
import { FuseDirent, FuseSize } from './fuse-structs.ts'

/** One name of a directory. */
export interface FuseDirectoryEntry {
  readonly ino: number
  /** A DirentType. */
  readonly type: number
  /** Where reading goes on after this entry. */
  readonly off: number
  readonly name: Uint8Array
}

/** What READDIRPLUS tells besides; undefined leaves the kernel to look the name up itself. */
export interface FuseDirectoryEntryPlus {
  readonly attributes: FuseAttributes | undefined
  readonly entryValidS: number
}

/** Collects the entries of one READDIR or READDIRPLUS reply of at most `capacity` bytes. */
export class DirentWriter {
  readonly #message: FuseMessage
  #end: number = FUSE_REPLY_PAYLOAD

  constructor(capacity: number) {
    this.#message = newFuseMessage(capacity)
  }

  /** Adds an entry, with `plus` in the form of READDIRPLUS; false when it does not fit any more. */
  add(entry: FuseDirectoryEntry, plus?: FuseDirectoryEntryPlus): boolean {
    const { bytes, view } = this.#message
    const start = this.#end
    const dirent = plus === undefined ? start : start + FuseSize.entryOut
    const name = dirent + FuseSize.dirent
    const end = start + ((name - start + entry.name.length + 7) & ~7)
    if (end > bytes.length) return false
    if (plus?.attributes !== undefined) {
      setEntry(view, plus.attributes, { entryValidS: plus.entryValidS, at: start })
    }
    FuseDirent.ino.set(view, entry.ino, dirent)
    FuseDirent.off.set(view, entry.off, dirent)
    FuseDirent.namelen.set(view, entry.name.length, dirent)
    FuseDirent.type.set(view, entry.type, dirent)
    bytes.set(entry.name, name)
    this.#end = end
    return true
  }

  /** The reply, with room for its header; without entries, the end of the directory. */
  reply(): FuseMessage {
    const { bytes, view } = this.#message
    return { bytes: bytes.subarray(0, this.#end), view }
  }
}
