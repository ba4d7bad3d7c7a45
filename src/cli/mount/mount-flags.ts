import type { MountOptions } from './mount-options.ts'
import type { MountedAt } from '../../daemon/system/remembered-mounts.ts'

/** What keeps a tree from leading those who use it elsewhere, or to programs and devices of whoever serves it. */
const OF_TREE = ['nosuid', 'nodev', 'noexec', 'nosymfollow'] as const
/** What is in a volume was perhaps written by somebody else. */
const OF_VOLUME = ['nosuid', 'nodev'] as const

/** The options for mount(8), where the last one wins, of the file system in a volume: what is given explicitly wins. */
export function volumeFlags(options: MountOptions): readonly string[] {
  return explicitLast(OF_VOLUME, options)
}

/** As `volumeFlags` for one that is mounted already: what it may do only changes by what is given explicitly. */
export function remountFlags(options: MountOptions, present: MountedAt): readonly string[] {
  return explicitLast(flagsOf(present, OF_VOLUME), options)
}

/** Of a tree in a second place, for which a kernel that is told of `ro` would forget the flags of the first: none is given up. */
export function bindFlags(rest: readonly string[], tree: MountedAt): readonly string[] {
  return [...rest, ...flagsOf(tree, OF_TREE)]
}

function explicitLast(flags: readonly string[], { rest, allowSuid, allowDev }: MountOptions): readonly string[] {
  return [...flags, ...rest, ...(allowSuid ? ['suid'] : []), ...(allowDev ? ['dev'] : [])]
}

function flagsOf({ options }: MountedAt, flags: readonly string[]): readonly string[] {
  const present = new Set(options.split(','))
  return flags.filter((flag) => present.has(flag))
}
