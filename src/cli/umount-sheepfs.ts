#!/usr/bin/env node
import { SheepfsError, errorText } from '../errors.ts'
import { tellError } from '../journal.ts'
import { ExitStatus, exitStatusOf } from './mount/exit-status.ts'
import { detachVolume } from './mount/instance-mount.ts'
import { isLoopFreed, isLoopDevice } from '../daemon/device/loop-device.ts'
import { backingFile, goesWithUser } from '../daemon/device/loop-table.ts'
import { findMountAt, listMounts, recordedVolume, resolveMountpoint } from '../daemon/system/remembered-mounts.ts'
import { runSystemProgram } from '../daemon/system/system-program.ts'
import { parseUmountArguments, UMOUNT_USAGE, type UmountArguments } from './mount/umount-arguments.ts'
import { versionLine } from '../program-version.ts'

/** How long the kernel may take to free a loop device after its last unmount. */
const FREE_LIMIT_MS = 10_000

/**
 * Unmounts, and returns when nothing of the mount is left. umount(8) calls this for the mounts of volumes; without it the
 * kernel and the daemon undo the same a moment later.
 */
async function umount({ directory, flags }: UmountArguments): Promise<void> {
  const mount = await findMountAt(await resolveMountpoint(directory))
  if (!mount) throw new SheepfsError('invalid', `"${directory}" is not mounted`)
  const loop = isLoopDevice(mount.source) ? mount.source : undefined
  // a volume that is mapped stays so
  const file = loop === undefined || !(await goesWithUser(loop)) ? '' : await backingFile(loop)
  await runSystemProgram('umount', ['-i', ...flags, mount.target])
  const isInUse = (await listMounts()).some(({ source }) => source === loop)
  if (loop === undefined || file === '' || isInUse || flags.includes('-l')) return // the rest goes with its last user
  if (await isLoopFreed(loop, file, FREE_LIMIT_MS)) {
    const volume = recordedVolume(mount)
    if (volume) await detachVolume(volume)
    return
  }
  tellError(`umount.sheepfs: ${mount.target} is unmounted, but somebody else still uses ${loop}\n`)
}

try {
  const args = parseUmountArguments(process.argv.slice(2))
  if (args === 'help') process.stdout.write(UMOUNT_USAGE)
  else if (args === 'version') process.stdout.write(versionLine('umount.sheepfs'))
  else await umount(args)
} catch (error) {
  tellError(`umount.sheepfs: ${errorText(error).replace(/^umount: /, '')}\n`)
  process.exitCode = error instanceof SheepfsError ? exitStatusOf(error) : ExitStatus.INTERNAL
}
