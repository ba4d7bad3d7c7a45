import { readFile, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { processesAt } from '../../fuse/mount-holders.ts'
import { readMountTable } from '../../fuse/mount-table.ts'
import { sysfsFolders, type LoopState } from './loop-table.ts'

/**
 * Who uses a loop device or its partitions, for a message: mounts, what the kernel has built on it (LVM, LUKS, RAID), swap,
 * processes that have it open; as far as this process can see. Touches no device. `root` has the /sys and /proc to look into.
 */
export async function deviceUsers(loop: LoopState, root = '/'): Promise<readonly string[]> {
  const nodes = [loop, ...loop.partitions]
  const seen = await Promise.all([
    mounts(nodes),
    holders(loop, root),
    swaps(nodes, root),
    ...nodes.map(({ path }) => processesAt(path)),
  ])
  return [...new Set(seen.flat())]
}

type Node = Pick<LoopState, 'path' | 'number'>

/** A file system over several devices, as btrfs, has a number of its own: it is known by its source. */
async function mounts(nodes: readonly Node[]): Promise<string[]> {
  const table = await readMountTable()
  return table
    .filter(({ major, minor, source }) =>
      nodes.some(({ path, number }) => number === `${major}:${minor}` || path === source),
    )
    .map(({ mountpoint }) => `the mount ${mountpoint}`)
}

async function holders(loop: LoopState, root: string): Promise<string[]> {
  const folders = await Promise.all(sysfsFolders(loop).map((folder) => listed(join(root, folder, 'holders'))))
  return Promise.all(
    folders.flat().map(async (name) => {
      const mapped = (await readFile(join(root, `/sys/block/${name}/dm/name`), 'utf8').catch(() => '')).trimEnd()
      return mapped === '' ? `/dev/${name}` : `/dev/mapper/${mapped}`
    }),
  )
}

async function swaps(nodes: readonly Node[], root: string): Promise<string[]> {
  const table = await readFile(join(root, '/proc/swaps'), 'utf8').catch(() => '')
  const used = table.split('\n').map((line) => basename(line.split(/\s/)[0] ?? ''))
  return nodes.filter(({ path }) => used.includes(basename(path))).map(({ path }) => `swap on ${path}`)
}

async function listed(folder: string): Promise<string[]> {
  return readdir(folder).catch((): string[] => [])
}
