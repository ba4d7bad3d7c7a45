import { realpath } from 'node:fs/promises'
import type { Logger } from '../../log.ts'
import { findMount, MOUNT_TYPE } from '../../fuse/mount-table.ts'
import { abortConnection } from '../../fuse/abort-connection.ts'
import { detachPath } from '../../fuse/unmount.ts'

/** What a mount of this daemon is known by. */
interface OwnMount {
  readonly mount: string
  readonly mountpoint: string
}

/**
 * Takes away what a killed predecessor of this daemon has left mounted: the mount of that name at that path. Nobody can
 * serve it any more, and whoever waits for it would wait for ever. Other mounts stay. The caller knows that no predecessor
 * lives (it has the control socket).
 */
export async function clearStaleMount(own: OwnMount, log: Logger): Promise<void> {
  if (!(await takeAway(own))) return
  const { mountpoint } = own
  log.warn({ mountpoint }, 'a predecessor had left its mount behind: it was taken away, and files open in it fail')
}

/** Ends the mount of that name at that path, which nobody serves. False when there is none: other mounts stay. */
export async function takeAway({ mount, mountpoint }: OwnMount): Promise<boolean> {
  // the table knows paths without symbolic links; a dead mount can be resolved, though not looked at
  const path = await realpath(mountpoint).catch(() => mountpoint)
  const found = await findMount(path)
  if (found?.type !== MOUNT_TYPE || found.source !== mount) return false
  await abortConnection(found.minor)
  await detachPath(path)
  return true
}
