import { readFile } from 'node:fs/promises'

/** The type of our trees, as mount(8) and /proc/mounts show it. */
export const MOUNT_TYPE = 'fuse.sheepfs'

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface MountEntry {
  /** Of this mount alone; bind mounts of it have others. A later mount may get it again. */
  readonly id: number
  /** The mount that it is mounted in. */
  readonly parent: number
  /** Of st_dev, as the minor number; 0 for what is on no block device. */
  readonly major: number
  /** Minor number of st_dev: the name of the connection's directory in fusectl. */
  readonly minor: number
  readonly mountpoint: string
  /** For example `fuse.sheepfs`. */
  readonly type: string
  readonly source: string
}

/** Parses the text of mountinfo; lines that are none are left out. */
export function parseMountTable(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ', 2)
    const [id, parent, device, , mountpoint] = head.split(' ')
    const [type, source] = tail.split(' ')
    if (device === undefined || mountpoint === undefined || type === undefined || source === undefined) return []
    const [major, minor] = device.split(':').map(Number)
    if (major === undefined || minor === undefined) return []
    const place = { mountpoint: unescapeOctal(mountpoint), type, source: unescapeOctal(source) }
    return [{ id: Number(id), parent: Number(parent), major, minor, ...place }]
  })
}

/** The kernel writes blank, tab, newline and backslash as three octal digits. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
}

/** st_dev, as makedev(3) puts it together. */
export function deviceNumber({ major, minor }: Pick<MountEntry, 'major' | 'minor'>): number {
  const low = (minor & 0xff) + (major & 0xfff) * 2 ** 8
  return low + (minor >>> 8) * 2 ** 20 + (major >>> 12) * 2 ** 44
}

/** What is mounted for a process, in the order of mounting, without touching any of it. */
export async function readMountTable(pid: number | 'self' = 'self'): Promise<readonly MountEntry[]> {
  return parseMountTable(await readFile(`/proc/${pid}/mountinfo`, 'utf8'))
}

/** The topmost mount at exactly this path (absolute, without symbolic links); undefined when nothing is mounted there. */
export async function findMount(mountpoint: string): Promise<MountEntry | undefined> {
  return (await readMountTable()).findLast((entry) => entry.mountpoint === mountpoint)
}

/** A path is another one, or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}
