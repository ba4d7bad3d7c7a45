import { isSheepfsError, SheepfsError } from '../../errors.ts'
import { runOnImage } from './image-program.ts'

/** A part of a volume, in bytes; `size` 0: to its end. */
export interface VolumeRange {
  readonly offset: number
  readonly size: number
}

export const WHOLE_VOLUME: VolumeRange = { offset: 0, size: 0 }
/** Of disks, smallest first. */
export const SECTOR_SIZES = [512, 4096] as const
export type SectorSize = (typeof SECTOR_SIZES)[number]

/** As many as Linux gives a disk. */
const MOST_PARTITIONS = 256

/**
 * Where a partition is in a volume. Read from its table, as not every kernel knows every kind of table. Errors: not-found,
 * naming the partitions that are there.
 */
export async function findPartition(
  volume: string,
  partition: number,
  options: TableOptions = {},
): Promise<VolumeRange> {
  const { rows } = await readPartitions(volume, options)
  const [, start = 0, sectors = 0, size = 0] = rows.find(([number]) => number === partition) ?? []
  if (size > 0) return { offset: start * (size / sectors), size }
  const known = rows.length === 0 ? 'it has no partition table' : `it has ${rows.map(([number]) => number).join(', ')}`
  throw new SheepfsError('not-found', `the volume has no partition ${partition}: ${known}`)
}

/** The partitions of a disk. */
export interface PartitionTable {
  /** Of the disk that it was written on; 512 where there is no table. */
  readonly sectorSize: number
  /** Of number, start, sectors and size. */
  readonly rows: readonly number[][]
}

interface TableOptions {
  readonly signal?: AbortSignal
  /** Of the disk that it was written on, where that is known: a DOS table does not tell. */
  readonly sectorSize?: SectorSize | undefined
}

/** The table of a volume. A GPT of a disk with larger sectors was written at another place. */
export async function readPartitions(
  volume: string,
  { signal, sectorSize: known }: TableOptions = {},
): Promise<PartitionTable> {
  for (const sectorSize of known === undefined ? SECTOR_SIZES : [known]) {
    const output = ['--bytes', '--noheadings', '--output', 'NR,START,SECTORS,SIZE']
    const args = ['--show', '--nr', `1:${MOST_PARTITIONS}`, '--sector-size', String(sectorSize), ...output, volume]
    const table = await runOnImage('partx', args, signal && { signal }).catch((error: unknown) => {
      if (isSheepfsError(error, 'io')) return '' // that is how it says that there is no table
      throw error
    })
    const rows = table.split('\n').flatMap((line) => (line === '' ? [] : [line.trim().split(/\s+/).map(Number)]))
    if (rows.length > 0) return { sectorSize, rows }
  }
  return { sectorSize: known ?? SECTOR_SIZES[0], rows: [] }
}
