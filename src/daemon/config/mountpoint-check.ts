import { realpath } from 'node:fs/promises'
import type { MountConfig } from '../../api/schema/config.ts'
import { SheepfsError } from '../../errors.ts'
import { findMount, MOUNT_TYPE } from '../../fuse/mount-table.ts'
import { checkMountpoint } from '../../fuse/mountpoint.ts'

/**
 * Refuses a mountpoint that nothing can be mounted at. One that has a mount of these names is not touched: it may wait for
 * its cluster. Errors: as `checkMountpoint`.
 */
export async function checkMountpointFor(mountpoint: string, names: ReadonlySet<string>): Promise<void> {
  const path = await realpath(mountpoint).catch(() => mountpoint)
  const present = await findMount(path)
  if (present?.type === MOUNT_TYPE && names.has(present.source)) return
  await checkMountpoint(mountpoint)
}

/**
 * As `checkMountpointFor` for several at a time; `leaving` are unmounted before. Errors: the code of the first flaw, a line
 * for each.
 */
export async function checkMountpoints(
  mounts: readonly Pick<MountConfig, 'name' | 'mountpoint'>[],
  leaving: readonly string[],
): Promise<void> {
  const checks = mounts.map(({ name, mountpoint }) => checkMountpointFor(mountpoint, new Set([name, ...leaving])))
  const outcomes = await Promise.allSettled(checks)
  const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as SheepfsError] : []))
  const [first] = errors
  if (first) throw new SheepfsError(first.code, errors.map(({ message }) => message).join('\n'), { cause: first })
}
