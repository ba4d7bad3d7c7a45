import { readFile, readdir, readlink } from 'node:fs/promises'
import { isWithin, readMountTable } from './mount-table.ts'

/** More than this many holders are counted, not named. */
const NAMED_HOLDERS = 5
/** Of those that are said to hold something, so many are looked at: a worker may name any number. */
const MOST_LOOKED_AT = 64

/**
 * Who keeps the mount at this path busy, as far as this user may see, for a message: processes with files or directories
 * of it, loop devices, mounts below; "" when nobody is seen. Reads links of /proc only, never the mount. `openers`: who is
 * known to have opened something, 0 for nobody; they are named when they live.
 */
export async function describeHolders(mountpoint: string, openers: readonly number[] = []): Promise<string> {
  const seen = await Promise.all([processesAt(mountpoint), loopDevices(mountpoint), mountsBelow(mountpoint)])
  const found = [...new Set([...(await described(openers)), ...seen.flat()])]
  const more = found.length > NAMED_HOLDERS ? ` and ${found.length - NAMED_HOLDERS} more` : ''
  return found.slice(0, NAMED_HOLDERS).join(', ') + more
}

/** Processes, by their pids or those of their threads, for a message; those that have ended are left out. */
export async function described(pids: readonly number[]): Promise<readonly string[]> {
  const named = [...new Set(pids)].filter((pid) => pid !== 0).slice(0, MOST_LOOKED_AT)
  const names = await Promise.all(named.map(async (pid) => ({ pid, name: await nameOf(String(pid)) })))
  return names.filter(({ name }) => name !== '').map(({ pid, name }) => `${name} (pid ${pid})`)
}

/** Processes that have something at this path or below it open, for a message. */
export async function processesAt(mountpoint: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const holders = await Promise.all(
    pids.map(async (pid) => {
      const open = (await listed(`/proc/${pid}/fd`)).map((fd) => `/proc/${pid}/fd/${fd}`)
      const links = [`/proc/${pid}/cwd`, `/proc/${pid}/root`, `/proc/${pid}/exe`, ...open]
      const targets = await Promise.all(links.map((link) => readlink(link).catch(unseen)))
      return targets.some((target) => isWithin(target, mountpoint)) ? [`${await nameOf(pid)} (pid ${pid})`] : []
    }),
  )
  return holders.flat()
}

async function loopDevices(mountpoint: string): Promise<string[]> {
  const loops = (await listed('/sys/block')).filter((name) => name.startsWith('loop'))
  const backing = await Promise.all(
    loops.map(async (name) => ({
      name,
      file: await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(unseen),
    })),
  )
  return backing.filter(({ file }) => isWithin(file.trimEnd(), mountpoint)).map(({ name }) => `/dev/${name}`)
}

async function mountsBelow(mountpoint: string): Promise<string[]> {
  const below = (await readMountTable()).filter((entry) => entry.mountpoint.startsWith(`${mountpoint}/`))
  return below.map((entry) => `the mount ${entry.mountpoint}`)
}

async function nameOf(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(unseen)).trimEnd()
}

async function listed(directory: string): Promise<string[]> {
  return readdir(directory).catch((): string[] => [])
}

/** Another user's process, or one that has just ended: it holds nothing that can be told. */
function unseen(): string {
  return ''
}
