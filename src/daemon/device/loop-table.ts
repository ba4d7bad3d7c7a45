import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** A loop device that is over a file, as the kernel shows it in sysfs. */
export interface LoopState {
  /** For example `/dev/loop0`. */
  readonly path: string
  readonly file: string
  readonly offset: number
  /** 0: to the end of the file. */
  readonly sizeLimit: number
  readonly size: number
  readonly sectorSize: number
  readonly isReadOnly: boolean
  /** It is freed when its last user closes it (LO_FLAGS_AUTOCLEAR); else it stays until it is detached. */
  readonly goesWithUser: boolean
  readonly partitions: readonly LoopPartition[]
  /** As major:minor. */
  readonly number: string
}

export interface LoopPartition {
  /** For example `/dev/loop0p1`. */
  readonly path: string
  readonly number: string
}

const BLOCKS = '/sys/block'
/** In which sysfs counts sizes, whatever sectors the device has. */
const SYSFS_SECTOR = 512

/** All that are over a file, by number. Touches neither the devices nor their files. */
export async function readLoops(): Promise<readonly LoopState[]> {
  const names = (await readdir(BLOCKS).catch((): string[] => [])).filter((name) => /^loop\d+$/.test(name))
  const loops = await Promise.all(names.map(readLoop))
  const numberOf = ({ path }: LoopState): number => Number(path.replace('/dev/loop', ''))
  return loops.filter((loop) => loop !== undefined).sort((a, b) => numberOf(a) - numberOf(b))
}

/** The file that a loop device is over; "" for one that is free. */
export async function backingFile(device: string): Promise<string> {
  return attribute(nameOf(device), 'loop/backing_file')
}

/** Whether it is freed when its last user closes it; false for one that is free. */
export async function goesWithUser(device: string): Promise<boolean> {
  return (await attribute(nameOf(device), 'loop/autoclear')) === '1'
}

/** Names in sysfs of a device and its partitions. */
export function sysfsFolders({ path, partitions }: LoopState): string[] {
  const name = nameOf(path)
  return [name, ...partitions.map((partition) => join(name, nameOf(partition.path)))].map((at) => join(BLOCKS, at))
}

function nameOf(device: string): string {
  return device.replace(/^\/dev\//, '')
}

async function readLoop(name: string): Promise<LoopState | undefined> {
  const [file, offset, sizeLimit, autoclear, size, sectorSize, ro, number, entries] = await Promise.all([
    attribute(name, 'loop/backing_file'),
    attribute(name, 'loop/offset'),
    attribute(name, 'loop/sizelimit'),
    attribute(name, 'loop/autoclear'),
    attribute(name, 'size'),
    attribute(name, 'queue/logical_block_size'),
    attribute(name, 'ro'),
    attribute(name, 'dev'),
    readdir(join(BLOCKS, name)).catch((): string[] => []),
  ])
  if (file === '') return undefined
  const parts = entries.filter((entry) => entry.startsWith(`${name}p`))
  const partitions = parts.map(async (part) => ({
    path: `/dev/${part}`,
    number: await attribute(`${name}/${part}`, 'dev'),
  }))
  return {
    path: `/dev/${name}`,
    file,
    offset: Number(offset),
    sizeLimit: Number(sizeLimit),
    size: Number(size) * SYSFS_SECTOR,
    sectorSize: Number(sectorSize),
    isReadOnly: ro === '1',
    goesWithUser: autoclear === '1',
    partitions: await Promise.all(partitions),
    number,
  }
}

/** Without its newline; "" when it is not there, as for a device that has just been freed. */
async function attribute(name: string, of: string): Promise<string> {
  const text = await readFile(join(BLOCKS, name, of), 'utf8').catch(() => '')
  return text.endsWith('\n') ? text.slice(0, -1) : text
}
