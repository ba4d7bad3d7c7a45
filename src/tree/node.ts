/** What stat(2) shows of a node. Sizes in bytes, times in milliseconds since 1970. */
export interface Attributes {
  readonly size: number
  /** Bytes that take space in the cluster: st_blocks, in bytes. */
  readonly allocated: number
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedMs: number
  readonly changedMs: number
  /** Preferred I/O size: st_blksize. */
  readonly blockSize: number
  /**
   * How long a kernel may believe `size`: 'until-told' of a change (see `TreeChange`); 'never': it asks each time. Of changes
   * of the times it is not told.
   */
  readonly validity: 'until-told' | 'never'
}

interface NodeBase {
  /** Unique in its tree for as long as the mount lives, never given again to another node; the root's is 1. */
  readonly id: number
  /** Errors: unreachable, timeout, stale. Must answer in bounded time, also when no sheep does. */
  attributes(): Promise<Attributes>
}

/** A fixed set of names, or the attached volumes. Names are what readdir(3) shows: UTF-8, without "/" and NUL. */
export interface Directory extends NodeBase {
  readonly kind: 'directory'
  readonly parent: Directory | undefined
  lookup(name: string): Node | undefined
  /** A snapshot of the entries, without "." and "..", in a stable order. */
  entries(): readonly Entry[]
}

export interface Entry {
  readonly name: string
  readonly node: Node
}

export interface File extends NodeBase {
  readonly kind: 'file'
  /**
   * One per open(2), and once more per handle that a successor of a dead process takes over; with `caching`, in the mode
   * that it was opened in and without asking the cluster. Errors: read-only, not-permitted, unreachable.
   */
  open(access: { readonly write: boolean; readonly caching?: Handle['caching'] }): Promise<Handle>
  /**
   * truncate(2), ftruncate(2) and O_TRUNC. The present size changes nothing; 0 makes a volume read as zeros and leaves its
   * size; otherwise smaller: not-permitted, and larger grows a volume. 0 is busy while a volume has handles that are not `own`.
   * Errors: stale, read-only, too-large.
   */
  resize(size: number, own: OwnHandles): Promise<void>
  /**
   * utimensat(2), where the times are kept. ms since 1970; `changedMs`: when a kernel that keeps the times by itself saw that
   * change. Errors: read-only.
   */
  setTimes?(modifiedMs: number, changedMs: number | undefined): void
  /** A kernel believes in another size of a volume, since it was told 0 to make it forget the content: tells the true one. */
  tellSize?(): void
  /** Whether a kernel knows the size of a volume by now. */
  noteSize?(isKnown: boolean): void
}

export type Node = Directory | File

/** The open handles of whoever asks for something, as they are now. */
export type OwnHandles = () => readonly Handle[] | Promise<readonly Handle[]>

/** What an open file can do. Positions and lengths are bytes; any alignment. */
export interface Handle {
  /** 'direct': every request goes to the cluster; 'cached': the kernel may keep what it read and hold back writes. */
  readonly caching: 'direct' | 'cached'
  /** Others write too: what was cached before this open counts no more. Default: false. */
  readonly dropsCache?: boolean
  /** Fills `into` from `position` and resolves with the bytes read: fewer than asked only at the end of the file. */
  read(position: number, into: Uint8Array): Promise<number>
  /**
   * Resolves with the bytes written once they are on the cluster: fewer than given where the file ends; no-space when
   * none fits. `data` may be used again after that.
   */
  write(position: number, data: Uint8Array): Promise<number>
  /** fsync(2): everything acknowledged is durable. */
  sync(): Promise<void>
  /** The range reads as zeros afterwards. `release` gives whole objects back to the cluster (PUNCH_HOLE). */
  zero(position: number, length: number, options: { readonly release: boolean }): Promise<void>
  /** lseek(2) SEEK_DATA and SEEK_HOLE: the next position of that kind at or after `position`; past-end when none. */
  seek(position: number, wanted: 'data' | 'hole'): Promise<number>
  /** The last close(2) of this open. */
  close(): Promise<void>
}

/** What statfs(2) shows, bytes. */
export interface Space {
  readonly total: number
  readonly free: number
}

/** Something a kernel may hold in a cache has changed for a reason it does not know. */
export type TreeChange =
  | {
      readonly kind: 'entry-added' | 'entry-removed'
      readonly parent: number
      readonly name: string
      readonly node: number
      /** Why it was removed, when nobody asked for that. */
      readonly reason?: string
    }
  /** No kernel knows: it is not removed any more when nobody has it open. */
  | { readonly kind: 'entry-kept'; readonly node: number }
  | { readonly kind: 'attributes'; readonly node: number; readonly size: number }
  | { readonly kind: 'content'; readonly node: number }
  /** Times move, or have come to rest. With `untoldMs` a kernel that keeps them by itself does not know: that is mtime. */
  | { readonly kind: 'times'; readonly nodes: readonly { readonly node: number; readonly untoldMs?: number }[] }
  /** A kernel has made a volume read as zeros. */
  | { readonly kind: 'truncated'; readonly node: number }

/** What an engine serves to a kernel. */
export interface Tree {
  readonly root: Directory
  /** A node by its id, also while it is no longer in a directory but still open; undefined when it is gone. */
  node(id: number): Node | undefined
  /** Errors: unreachable, timeout. */
  space(): Promise<Space>
  /** Whoever serves it closes what the kernel has open, and a successor opens it again: nobody has closed it. */
  handOver?(): void
  /** Calls `listener` for every change until the returned function is called. */
  watch(listener: (change: TreeChange) => void): () => void
}
