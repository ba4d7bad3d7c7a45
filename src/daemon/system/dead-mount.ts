import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { errorText } from '../../errors.ts'
import { findMount, isWithin, MOUNT_TYPE, type MountEntry, readMountTable } from '../../fuse/mount-table.ts'
import { detachPath } from '../../fuse/unmount.ts'
import type { Logger } from '../../log.ts'
import { dropDevice } from '../device/block-device.ts'
import { type LoopState, readLoops, sysfsFolders } from '../device/loop-table.ts'
import { askProgram } from './bounded-program.ts'
import { listMounts, type MountedAt } from './remembered-mounts.ts'

/*
 * A mount that has ended in the kernel is dead for ever: a tree says ENOTCONN, and a loop device that has a volume of it open
 * gives EIO, as the file system on it does (docs/fuse-kernel-protocol.md#11).
 */

/** A volume, from the root of a tree that was taken away. */
const OUT_OF_SIGHT = /^\/volume\/[^/]+$/

/** How long the kernel tells attributes of a file without asking, also after the death of its tree. */
const ATTRIBUTES_KNOWN_MS = 1500

/** A loop device over a volume that nobody can serve any more. */
export interface DeadLoop {
  /** For example `/dev/loop0`. */
  readonly device: string
  /** As sysfs has it: from the root of the tree when that was taken away. */
  readonly file: string
  /** Still shows the volume; undefined when it was taken away. */
  readonly tree: MountEntry | undefined
  /** What is mounted on it, or on what is over it, in the order of mounting. */
  readonly mounts: readonly MountedAt[]
  /** Nothing is left to do: somebody is inside of what was taken away, and it goes with him. */
  readonly isGoing: boolean
  /** Devices over it, which hold it: `dm-0`. */
  readonly holders: readonly string[]
}

/** The dead loop devices of this host. Volumes of trees that `isLiving` are not asked, for they may wait for a cluster. */
export async function findDeadLoops(isLiving: (tree: MountEntry) => boolean): Promise<DeadLoop[]> {
  const [loops, table] = await Promise.all([readLoops(), readMountTable()])
  const dead = await Promise.all(
    loops.map(async (loop) => {
      const tree = treeOf(loop, table)
      if (tree ? isLiving(tree) : !(await isOutOfSight(loop, table))) return []
      return (await isKnownDead(loop.path)) ? [loop] : []
    }),
  )
  return describe(dead.flat(), table)
}

/** The loop devices over volumes of a tree that is dead, or about to be; perhaps those of the same path in a container, too. */
export async function findLoopsOn(tree: { readonly minor: number }): Promise<DeadLoop[]> {
  const [loops, table] = await Promise.all([readLoops(), readMountTable()])
  return describe(
    loops.filter((loop) => treeOf(loop, table)?.minor === tree.minor),
    table,
  )
}

/**
 * Unmounts what is on a dead loop device, lazily, for somebody may stand inside, and gives the device back: it goes with its
 * last user. The log says so.
 */
export async function takeDown({ device, file, mounts, holders, isGoing }: DeadLoop, log: Logger): Promise<void> {
  if (isGoing || !(await isDeadLoop(device))) return
  const mountpoints = mounts.map(({ target }) => target)
  try {
    for (const { target, source } of mounts.toReversed()) {
      const isOnTop = (await findMount(target))?.source === source
      if (isOnTop) await detachPath(target)
    }
    await dropDevice({ path: device, file }) // its number may be another's by now
  } catch (error) {
    const isThere = (await readLoops()).some((loop) => loop.path === device && loop.file === file)
    if (isThere)
      log.error({ device, file, mountpoints }, `a dead file system cannot be taken away: ${errorText(error)}`)
    if (isThere) return
  }
  const kept = holders.length === 0 ? '' : `; ${holders.join(', ')} over ${device} is dead too, and holds it`
  log.warn({ device, file, mountpoints }, `a dead file system was taken away: nobody serves its volume any more${kept}`)
}

/** Whether a tree, or the file system on a loop device, is dead. Nothing that waits for somebody is. */
export async function isDeadMount({ target, source, fstype }: MountedAt): Promise<boolean> {
  return fstype === MOUNT_TYPE ? isDeadTree(target) : isDeadLoop(source)
}

/** Nobody serves the tree at this path any more. */
export async function isDeadTree(mountpoint: string): Promise<boolean> {
  return (await askProgram('stat', ['--', mountpoint]))?.complaint.includes('not connected') ?? false
}

/** Nobody serves the file of this loop device any more, since a moment even. */
export async function isDeadLoop(device: string): Promise<boolean> {
  if (await isKnownDead(device)) return true
  if (!(await isUnreadable(device))) return false
  await pause(ATTRIBUTES_KNOWN_MS)
  return isKnownDead(device)
}

/** Its file cannot be looked at, and not be read. A living one is not read for that. */
async function isKnownDead(device: string): Promise<boolean> {
  const listed = await askProgram('losetup', ['--noheadings', '--output', 'BACK-INO', device])
  return listed?.isSuccess === true && listed.output.trim() === '' && isUnreadable(device)
}

async function isUnreadable(device: string): Promise<boolean> {
  const read = await askProgram('dd', [`if=${device}`, 'of=/dev/null', 'bs=4096', 'count=1', 'iflag=direct'])
  return read?.complaint.includes('Input/output error') ?? false
}

/** The tree that shows the file of a loop device. */
function treeOf({ file }: LoopState, table: readonly MountEntry[]): MountEntry | undefined {
  const mount = mountOf(file, table)
  return mount?.type === MOUNT_TYPE ? mount : undefined
}

/** What is mounted where a path leads; undefined: the root of all. */
function mountOf(path: string, table: readonly MountEntry[]): MountEntry | undefined {
  return table.reduce<MountEntry | undefined>((nearest, mount) => {
    const isNearer = mount.mountpoint.length >= (nearest?.mountpoint.length ?? 0)
    return isNearer && isWithin(path, mount.mountpoint) ? mount : nearest
  }, undefined)
}

async function isOutOfSight({ file }: LoopState, table: readonly MountEntry[]): Promise<boolean> {
  if (!OUT_OF_SIGHT.test(file) || mountOf(file, table) !== undefined) return false
  return lstat(file).then(
    () => false,
    () => true,
  )
}

async function describe(loops: readonly LoopState[], table: readonly MountEntry[]): Promise<DeadLoop[]> {
  const mounts = loops.length === 0 ? [] : await listMounts()
  return Promise.all(
    loops.map(async (loop) => {
      const built = await builtOn(sysfsFolders(loop))
      const numbers = [loop, ...loop.partitions, ...built].map(({ number }) => number)
      const isOnIt = (mount: MountedAt): boolean => mount.source === loop.path || numbers.includes(mount['maj:min'])
      const onIt = mounts.filter(isOnIt)
      return {
        device: loop.path,
        file: loop.file,
        tree: treeOf(loop, table),
        mounts: onIt,
        isGoing: onIt.length === 0 && loop.goesWithUser,
        holders: [...new Set(built.map(({ name }) => name))],
      }
    }),
  )
}

/** What the kernel has built on block devices, by their folders in sysfs, and on that: LVM, LUKS, RAID. */
async function builtOn(folders: readonly string[]): Promise<{ name: string; number: string }[]> {
  const names = await Promise.all(folders.map((folder) => readdir(join(folder, 'holders')).catch((): string[] => [])))
  const built = names.flat().map(async (name) => {
    const folder = `/sys/block/${name}`
    const number = (await readFile(join(folder, 'dev'), 'utf8').catch(() => '')).trimEnd()
    return [{ name, number }, ...(await builtOn([folder]))]
  })
  return (await Promise.all(built)).flat()
}
