import { realpath } from 'node:fs/promises'
import type { Logger } from '../../log.ts'
import { findMount, MOUNT_TYPE, type MountEntry, readMountTable } from '../../fuse/mount-table.ts'
import { abortConnection } from '../../fuse/abort-connection.ts'
import { detachPath } from '../../fuse/unmount.ts'
import { type DeadLoop, findDeadLoops, findLoopsOn, takeDown } from '../system/dead-mount.ts'
import { recordedSource } from '../system/remembered-mounts.ts'

/** What a mount of this daemon is known by. */
interface OwnMount {
  readonly mount: string
  readonly mountpoint: string
}

/**
 * Takes away what a killed predecessor of this daemon has left mounted: the mount of that name at that path. Nobody can
 * serve it any more, and whoever waits for it would wait for ever. Other mounts stay. The caller knows that no predecessor
 * lives (it has the lock of the instance).
 */
export async function clearStaleMount(own: OwnMount, log: Logger): Promise<void> {
  if (!(await takeAway(own, log))) return
  const { mountpoint } = own
  log.warn({ mountpoint }, 'a predecessor had left its mount behind: it was taken away, and files open in it fail')
}

/**
 * Ends the mount of that name at that path, which nobody serves, with all that shows it elsewhere and all that is mounted on
 * its volumes. False when there is none: other mounts stay.
 */
export async function takeAway({ mount, mountpoint }: OwnMount, log: Logger): Promise<boolean> {
  // the table knows paths without symbolic links; a dead mount can be resolved, though not looked at
  const path = await realpath(mountpoint).catch(() => mountpoint)
  const found = await findMount(path)
  if (found?.type !== MOUNT_TYPE || found.source !== mount) return false
  await abortConnection(found.minor)
  await takeDownAll(found, log)
  const places = (await readMountTable()).filter(({ type, minor }) => type === MOUNT_TYPE && minor === found.minor)
  for (const place of places.toReversed()) await detachPath(place.mountpoint)
  return true
}

/** Takes down what is mounted on volumes of a tree that has ended: it is dead. */
async function takeDownAll(tree: { readonly minor: number }, log: Logger): Promise<void> {
  for (const loop of await findLoopsOn(tree)) await takeDown(loop, log)
}

/**
 * The dead loop devices that are an instance's: what was mounted as INSTANCE/VDI, and what nobody can be told of, as its tree was
 * taken away. `isLiving`: trees that somebody serves.
 */
export async function findOwnDeadLoops(
  instance: string,
  isLiving: (tree: MountEntry) => boolean,
): Promise<readonly DeadLoop[]> {
  return (await findDeadLoops(isLiving)).filter(({ tree, mounts }) => {
    const sources = mounts.flatMap((mount) => recordedSource(mount) ?? [])
    return sources.length === 0 ? tree === undefined : sources.every((source) => source.startsWith(`${instance}/`))
  })
}

/** Takes down what earlier daemons of an instance have left dead, and nobody has seen to. */
export async function clearDeadLoops(
  instance: string,
  isLiving: (tree: MountEntry) => boolean,
  log: Logger,
): Promise<void> {
  try {
    for (const loop of await findOwnDeadLoops(instance, isLiving)) await takeDown(loop, log)
  } catch (error) {
    log.warn({ err: error }, 'dead file systems cannot be looked for')
  }
}
