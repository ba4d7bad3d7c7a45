import { SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import type { Tree } from '../tree/node.ts'

/** Which program serves the kernel. */
export const ENGINES = ['kernel', 'fuse-native'] as const
export type EngineName = (typeof ENGINES)[number]

/** What not every engine can do. */
export interface Capabilities {
  /** Each open is cached or not as its `Handle.caching` says; otherwise `MountOptions.caching` holds for every file. */
  readonly switchCaching: boolean
  /** `MountOptions.writeBack` is heeded; otherwise cached files write through. */
  readonly writeBack: boolean
  /** fallocate(2) reaches `Handle.zero`; otherwise it fails with EOPNOTSUPP. */
  readonly discard: boolean
}

const CAPABILITY_TEXT = {
  switchCaching: 'switch the page cache while mounted',
  writeBack: 'write back from the page cache',
  discard: 'discard',
} as const satisfies Record<keyof Capabilities, string>

/** Throws not-supported, naming the engine, unless it has the capability. */
export function requireCapability(engine: Engine, capability: keyof Capabilities): void {
  if (engine.capabilities[capability]) return
  throw new SheepfsError('not-supported', `engine ${engine.name} cannot ${CAPABILITY_TEXT[capability]}`)
}

export interface MountOptions {
  /** An existing directory, absolute. */
  readonly mountpoint: string
  /** Shown as the source of the mount; not an absolute path. */
  readonly source: string
  readonly allowOther: boolean
  /** How files are cached by an engine that cannot switch it (see `Capabilities`); the others ask each handle. */
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
  /** Minor number of its st_dev, where the engine knows it. */
  readonly minor?: number
  /** Unmounts. busy while files are open or directories in use: the mount goes on. */
  unmount(): Promise<void>
  /** Ends the mount now; what is in flight fails with ECONNABORTED. For when unmount cannot be waited for. */
  abort(): Promise<void>
}

/** Serves trees. */
export interface Engine {
  readonly name: EngineName
  readonly capabilities: Capabilities
  /** Resolves when the mount answers requests. Errors: not-found, busy, not-permitted, not-supported (and why). */
  mount(tree: Tree, options: MountOptions): Promise<Mounted>
}
