import { SheepfsError, errorText } from '../errors.ts'
import { describeHolders } from './mount-holders.ts'
import { HeldDirectory } from './held-directory.ts'
import { findMount, readMountTable } from './mount-table.ts'
import { runProgram } from './run-program.ts'
import { runToEnd } from './run-to-end.ts'

/** How long umount(8) and fusermount(1) may take: what is dirty is written first, so as long as I/O may take. */
const UNMOUNT_LIMIT_MS = 600_000

/**
 * Takes the mount at this path out of the tree, as root with umount(8), otherwise with fusermount(1). Does not wait for
 * its server. Somebody else may unmount it at the same moment: a path where nothing is mounted is as it should be. Errors:
 * busy (with who holds it where that can be seen; the mount goes on), not-permitted, not-supported (no fusermount), io.
 */
export async function unmountPath(mountpoint: string): Promise<void> {
  // umount -i: a helper umount.fuse of the system might do something else, as unmounting lazily
  const failure = await run(isRoot() ? ['umount', '-i', mountpoint] : ['fusermount', '-u', mountpoint])
  if (failure !== undefined && (await findMount(mountpoint)) !== undefined)
    throw await unmountError(mountpoint, failure)
}

/**
 * Detaches the mount from the tree even when it is busy; its open files go on with its server, or fail when that is gone.
 * A path where nothing is mounted is as it should be here too.
 */
export async function detachPath(mountpoint: string): Promise<void> {
  const failure = await run(isRoot() ? ['umount', '-i', '-l', mountpoint] : ['fusermount', '-u', '-z', mountpoint])
  if (failure !== undefined && (await findMount(mountpoint)) !== undefined)
    throw await unmountError(mountpoint, failure)
}

/** As `detachPath` for one mount by its number, which nobody can change by renaming; one that is not there is left. */
export async function detachMount(id: number): Promise<void> {
  const place = (await readMountTable()).find((entry) => entry.id === id)?.mountpoint
  if (place === undefined) return
  const root = await HeldDirectory.open(place)
  try {
    if (root.mountId !== id) return
    // without a dot behind it: in a mount that was aborted no name is found any more
    const held = '/proc/self/fd/3'
    const { isSuccess, complaint } = await runProgram('umount', ['-i', '-l', '-c', held], [root.fd])
    if (!isSuccess) throw await unmountError(place, new Error(complaint.replaceAll(held, place)))
  } finally {
    await root.close()
  }
}

/** True when this process mounts by itself, without fusermount. */
export function isRoot(): boolean {
  return process.geteuid?.() === 0
}

async function run([program = '', ...args]: readonly string[]): Promise<Error | undefined> {
  try {
    await runToEnd(program, args, UNMOUNT_LIMIT_MS)
    return undefined
  } catch (cause) {
    const { stderr = '' } = cause as { stderr?: string }
    return stderr === '' ? (cause as Error) : new Error(stderr.trim(), { cause })
  }
}

async function unmountError(mountpoint: string, cause: Error): Promise<SheepfsError> {
  const text = errorText(cause)
  if (/busy/i.test(text)) {
    const holders = await describeHolders(mountpoint)
    const by = holders === '' ? 'open files or working directories are in it' : `in use by ${holders}`
    return new SheepfsError('busy', `cannot unmount "${mountpoint}": ${by}`, { cause })
  }
  if ('code' in cause && cause.code === 'ENOENT') {
    return new SheepfsError('not-supported', 'fusermount is not installed: install the package fuse3', { cause })
  }
  const code = /permi|superuser|not allowed/i.test(text) ? 'not-permitted' : 'io'
  return new SheepfsError(code, `cannot unmount "${mountpoint}": ${text}`, { cause })
}
