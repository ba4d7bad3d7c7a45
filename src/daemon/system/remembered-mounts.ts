import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SheepfsError, errorText } from '../../errors.ts'
import { runSystemProgram } from '../../daemon/system/system-program.ts'

/** A mount as findmnt(8) tells of it: of the kernel's table, with what mount(8) remembers besides. */
export interface MountedAt {
  readonly target: string
  /** For example `/dev/loop0`, or the name of a mount of sheepfs. */
  readonly source: string
  readonly fstype: string
  /** As far as mount(8) remembers them: `x-…` among them. */
  readonly options: string
  /** Number of the device that it is on, as `7:0`. */
  readonly 'maj:min': string
}

/** By these options a mount of a volume is recognized and undone later; mount(8) keeps what begins with `x-`. */
const SOURCE_OPTION = 'x-sheepfs.source='
const DETACH_OPTION = 'x-sheepfs.detach='

/** What is mounted, in the order of mounting. Touches none of it. */
export async function listMounts(): Promise<readonly MountedAt[]> {
  const columns = 'TARGET,SOURCE,FSTYPE,OPTIONS,MAJ:MIN'
  const table = await runSystemProgram('findmnt', [
    '--json',
    '--list',
    '--nocanonicalize',
    '--mtab',
    '--output',
    columns,
  ])
  return (JSON.parse(table) as { filesystems: MountedAt[] }).filesystems
}

/** The topmost mount at a path without symbolic links. */
export async function findMountAt(directory: string): Promise<MountedAt | undefined> {
  return (await listMounts()).findLast(({ target }) => target === directory)
}

/** By this marker umount(8) finds umount.sheepfs, which waits until everything is undone. */
const HELPER_OPTION = 'helper=sheepfs'

/** The options that record `source`; nothing in it ends an option. */
export function sourceOptions(source: string): readonly string[] {
  return [HELPER_OPTION, SOURCE_OPTION + encodeURIComponent(source)]
}

/** All that mount.sheepfs has recorded with this mount. */
export function recordedOptions({ options }: MountedAt): readonly string[] {
  const own = options
    .split(',')
    .filter((option) => option.startsWith(SOURCE_OPTION) || option.startsWith(DETACH_OPTION))
  return own.length === 0 ? [] : [HELPER_OPTION, ...own]
}

/** A volume that goes with the mount of its file system. */
export interface VolumeToDetach {
  readonly instance: string
  readonly mount: string
  readonly volume: string
}

/** The option that records which volume to detach with the unmount. */
export function detachOption({ instance, mount, volume }: VolumeToDetach): string {
  return DETACH_OPTION + [instance, mount, volume].map(encodeURIComponent).join('/')
}

/** The source that mount.sheepfs was given for this mount; undefined for any other. */
export function recordedSource(mount: MountedAt): string | undefined {
  const source = recorded(mount, SOURCE_OPTION)
  return source === undefined ? undefined : decodeURIComponent(source)
}

/** The volume to detach with this mount. */
export function recordedVolume(mount: MountedAt): VolumeToDetach | undefined {
  const [instance, name, volume] = recorded(mount, DETACH_OPTION)?.split('/').map(decodeURIComponent) ?? []
  if (instance === undefined || name === undefined || volume === undefined) return undefined
  return { instance, mount: name, volume }
}

function recorded({ options }: MountedAt, name: string): string | undefined {
  const option = options.split(',').find((candidate) => candidate.startsWith(name))
  return option?.slice(name.length)
}

/** The path of a mountpoint without symbolic links; the mountpoint itself is not touched. Errors: not-found, not-permitted. */
export async function resolveMountpoint(directory: string): Promise<string> {
  const parent = dirname(directory)
  try {
    const name = basename(directory)
    return name === '' ? '/' : join(await realpath(parent), name)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause && cause.code === 'EACCES' ? 'not-permitted' : 'not-found'
    throw new SheepfsError(code, `mountpoint "${directory}": ${errorText(cause)}`, { cause })
  }
}
