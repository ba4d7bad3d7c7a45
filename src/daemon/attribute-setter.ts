import { closeSync, constants, fstatSync, openSync, readFileSync, truncateSync, utimesSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { deviceNumber } from '../fuse/mount-table.ts'
import type { AttributeChange, AttributeOrder } from './kernel-attributes.ts'

/*
 * A process that sets sizes and times of the volumes of a mount, and nothing else, whatever the tree answers: it goes from
 * descriptor to descriptor, follows no link, and leaves alone what is not a file of that very mount.
 */

const { O_DIRECTORY, O_NOFOLLOW } = constants
/** Of the st_dev of what is on no block device. */
const FUSE_MAJOR = 0
/** open(2); Node.js has no name for it. It asks nobody who serves a file, nor runs what a device does when it is opened. */
const O_PATH = 0o10000000

/** Opens without following a link. Errors: ELOOP, ENOENT, …; what is there lies on another mount. */
function openOn(minor: number, path: string, flags: number): { readonly fd: number; readonly stats: Stats } {
  const fd = openSync(path, O_PATH | O_NOFOLLOW | flags)
  const stats = fstatSync(fd)
  if (stats.dev === deviceNumber({ major: FUSE_MAJOR, minor })) return { fd, stats }
  closeSync(fd)
  throw new Error('it lies on another mount')
}

function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`
}

function setAttributes({ size, modifiedMs }: AttributeChange, path: string, { atimeMs }: Stats): void {
  if (size !== undefined) truncateSync(path, size)
  if (modifiedMs !== undefined) utimesSync(path, atimeMs / 1000, modifiedMs / 1000)
}

function carryOut({ mountpoint, minor, changes }: AttributeOrder): void {
  const tree = openOn(minor, mountpoint, O_DIRECTORY)
  const volumes = openOn(minor, join(pathOf(tree.fd), 'volume'), O_DIRECTORY)
  for (const change of changes) {
    try {
      const { fd, stats } = openOn(minor, join(pathOf(volumes.fd), change.volume), 0)
      if (!stats.isFile()) throw new Error('it is not a file')
      setAttributes(change, pathOf(fd), stats)
      closeSync(fd)
    } catch (error) {
      complain(change.volume, error)
    }
  }
}

function complain(what: string, error: unknown): void {
  const why = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${JSON.stringify(what)}: ${why}\n`)
  process.exitCode = 1
}

process.title = 'sheepfs-setter' // by which a worker knows what it opens (fuse/kernel/opener.ts)
const order = JSON.parse(readFileSync(0, 'utf8')) as AttributeOrder
try {
  carryOut(order)
} catch (error) {
  complain(order.mountpoint, error)
}
