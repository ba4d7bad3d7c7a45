import type { Logger } from '../log.ts'
import type { Tree } from '../tree/node.ts'

/** Which program serves the kernel. */
export const ENGINES = ['kernel', 'fuse-native'] as const
export type EngineName = (typeof ENGINES)[number]

export interface MountOptions {
  /** An existing directory, absolute. */
  readonly mountpoint: string
  /** Shown as the source of the mount; not an absolute path. */
  readonly source: string
  readonly allowOther: boolean
  /** How files are cached by an engine that cannot switch it; the others ask each handle. */
  readonly caching: 'direct' | 'cached'
  /** Cached handles write back, not through; for as long as the mount lives. */
  readonly writeBack: boolean
  readonly log: Logger
}

/** A tree that is mounted. */
export interface Mounted {
  /**
   * Resolves when the mount has ended, for whatever reason, and nothing of it is left; rejects when serving it failed.
   */
  readonly ended: Promise<void>
  /** Unmounts. busy while files are open or directories in use: the mount goes on. */
  unmount(): Promise<void>
  /** Ends the mount now; what is in flight fails with ECONNABORTED. For when unmount cannot be waited for. */
  abort(): Promise<void>
}

/** Serves trees. */
export interface Engine {
  readonly name: EngineName
  /** Resolves when the mount answers requests. Errors: not-found, busy, not-permitted, not-supported (and why). */
  mount(tree: Tree, options: MountOptions): Promise<Mounted>
}
