import { realpath, stat } from 'node:fs/promises'
import { SheepfsError, errorText } from '../errors.ts'
import { MOUNT_TYPE, readMountTable, type MountEntry } from './mount-table.ts'

/**
 * The path to mount at, without symbolic links, after a look that a directory is there, nothing is mounted on it, and it is
 * in no tree of sheepfs. Errors: not-found, invalid (not a directory, in a tree), busy (in use, or a dead mount), not-permitted.
 */
export async function checkMountpoint(path: string): Promise<string> {
  try {
    const resolved = await realpath(path)
    if (!(await stat(resolved)).isDirectory()) {
      throw new SheepfsError('invalid', `mountpoint "${path}" is not a directory`)
    }
    await refuseWhenMounted(resolved)
    return resolved
  } catch (error) {
    throw error instanceof SheepfsError ? error : mountpointError(path, error)
  }
}

async function refuseWhenMounted(mountpoint: string): Promise<void> {
  const around = mountAround(mountpoint, await readMountTable())
  if (around === undefined) return
  const { source, type } = around
  if (around.mountpoint !== mountpoint) {
    if (type !== MOUNT_TYPE) return
    throw new SheepfsError('invalid', `mountpoint "${mountpoint}" is inside the tree of mount "${source}"`)
  }
  throw new SheepfsError('busy', `mountpoint "${mountpoint}" is in use: ${source} (${type}) is mounted there`)
}

/** What is mounted at a path, or at the nearest directory above it; the latest counts. */
function mountAround(path: string, table: readonly MountEntry[]): MountEntry | undefined {
  const above = table.filter(
    ({ mountpoint }) => path === mountpoint || (mountpoint !== '/' && path.startsWith(`${mountpoint}/`)),
  )
  return above.reduce<MountEntry | undefined>(
    (nearest, entry) => (nearest && nearest.mountpoint.length > entry.mountpoint.length ? nearest : entry),
    undefined,
  )
}

function mountpointError(path: string, cause: unknown): SheepfsError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  switch (code) {
    case 'ENOENT':
      return new SheepfsError('not-found', `mountpoint "${path}" does not exist: create the directory first`, { cause })
    case 'ENOTDIR':
      return new SheepfsError('not-found', `mountpoint "${path}": a part of the path is not a directory`, { cause })
    case 'EACCES':
      return new SheepfsError('not-permitted', `mountpoint "${path}" may not be reached by this user`, { cause })
    case 'ENOTCONN':
      return new SheepfsError('busy', `mountpoint "${path}" is a dead mount: run "fusermount -u ${path}"`, { cause })
    default:
      return new SheepfsError('io', `mountpoint "${path}" cannot be used: ${errorText(cause)}`, { cause })
  }
}
