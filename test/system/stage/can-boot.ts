import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'

/** Why no system can be booted here; false when one can. */
export async function cannotBoot(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'only root can boot a system in namespaces'
  if (!existsSync('/lib/systemd/systemd')) return 'systemd is not installed'
  if (!existsSync('/dev/fuse')) return 'no /dev/fuse'
  if (!existsSync('/dev/loop-control')) return 'no /dev/loop-control'
  return (await cgroupRoot()) === undefined ? 'there is no cgroup v2 file system' : false
}

/** Where cgroup v2 is mounted. */
export async function cgroupRoot(): Promise<string | undefined> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' '))
  return mounts.find(([, , type]) => type === 'cgroup2')?.[1]
}
