import type { Logger } from '../log.ts'
import { MOUNT_TYPE } from '../fuse/kernel/kernel-mount.ts'
import { findMount } from '../fuse/mount-table.ts'
import { abortConnection } from '../fuse/abort-connection.ts'
import { detachPath } from '../fuse/unmount.ts'

/**
 * Takes away what a killed predecessor of this daemon has left mounted: the mount of that name at that path. Nobody can
 * serve it any more, and whoever waits for it would wait for ever. Other mounts stay. The caller knows that no predecessor
 * lives (it has the control socket).
 */
export async function clearStaleMount(
  { mount: name, mountpoint }: { readonly mount: string; readonly mountpoint: string },
  log: Logger,
): Promise<void> {
  const stale = await findMount(mountpoint)
  if (stale?.type !== MOUNT_TYPE || stale.source !== name) return
  log.warn({ mountpoint }, 'a predecessor has left its mount behind: it is taken away, and files open in it fail')
  await abortConnection(stale.minor)
  await detachPath(mountpoint)
}
