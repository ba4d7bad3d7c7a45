import { SECTOR_SIZES, type SectorSize } from '../../daemon/device/partition-table.ts'
import { SheepfsError } from '../../errors.ts'
import type { MountSource } from './mount-source.ts'

/** The options of `-o`, taken apart: those of sheepfs, and the rest, which is for mount(8) and the file system. */
export interface MountOptions {
  /** Type of the file system in a volume; undefined: mount(8) finds out. */
  readonly fstype: string | undefined
  /** Of the volume's partition table, from 1; undefined: the file system fills the volume. */
  readonly partition: number | undefined
  /** Of the disk that the volume is; undefined: what the partition table tells, and 512 for the device. */
  readonly sectorSize: SectorSize | undefined
  /** Which mount of the instance. */
  readonly mount: string | undefined
  readonly isReadOnly: boolean
  /** Of what is mounted, only options change. */
  readonly isRemount: boolean
  readonly breakLock: boolean
  readonly pageCache: boolean
  readonly objectCache: boolean
  readonly allowOther: boolean
  /** Programs in a volume may run as their owner. */
  readonly allowSuid: boolean
  /** Device files in a volume are devices. */
  readonly allowDev: boolean
  /** Everything else, in order. */
  readonly rest: readonly string[]
}

type Kind = 'tree' | 'volume' | 'standalone tree' | 'standalone volume'

/** Some kinds of sources, and what to call them in a message. */
interface Kinds {
  readonly kinds: readonly Kind[]
  readonly text: string
}

const VOLUMES: Kinds = {
  kinds: ['volume', 'standalone volume'],
  text: 'a volume, INSTANCE/VDI or sheepdog://HOST/VDI',
}
const OF_INSTANCE: Kinds = { kinds: ['tree', 'volume'], text: 'an instance, INSTANCE or INSTANCE/VDI' }
const STANDALONE: Kinds = {
  kinds: ['standalone tree', 'standalone volume'],
  text: 'a daemon of its own, sheepdog://HOST/…',
}
const STANDALONE_TREE: Kinds = {
  kinds: ['standalone tree'],
  text: 'a tree with a daemon of its own, sheepdog://HOST/',
}

/** The options of sheepfs: where each may stand, and whether it has a value. */
const OWN: Readonly<Record<string, { readonly for: Kinds; readonly hasValue: boolean }>> = {
  fstype: { for: VOLUMES, hasValue: true },
  partition: { for: VOLUMES, hasValue: true },
  sector_size: { for: VOLUMES, hasValue: true },
  mount: { for: OF_INSTANCE, hasValue: true },
  break_lock: { for: VOLUMES, hasValue: false },
  allow_suid: { for: VOLUMES, hasValue: false }, // mount(8) keeps suid and dev, its own defaults, for itself
  allow_dev: { for: VOLUMES, hasValue: false },
  page_cache: { for: STANDALONE, hasValue: false },
  object_cache: { for: STANDALONE, hasValue: false },
  allow_other: { for: STANDALONE_TREE, hasValue: false },
}
/** Of mount(8), for loop devices: this one takes its own. */
const OF_LOOP = new Set(['loop', 'offset', 'sizelimit'])
const MOST_PARTITIONS = 256

/** Reads the value of `-o`. Errors: invalid, naming the option and what would be right. */
export function parseMountOptions(text: string, source: MountSource): MountOptions {
  const kind = kindOf(source)
  const own = new Map<string, string>()
  const rest: string[] = []
  let isReadOnly = false
  let isRemount = false
  for (const option of splitOptions(text)) {
    const equals = option.indexOf('=')
    const name = equals === -1 ? option : option.slice(0, equals)
    if (option === 'ro' || option === 'rw') isReadOnly = option === 'ro'
    if (OF_LOOP.has(name)) {
      throw new SheepfsError('invalid', `option ${name} is not for sheepfs, which takes a loop device by itself`)
    }
    if (option === 'remount') isRemount = true
    else if (Object.hasOwn(OWN, name)) own.set(name, checkOwn(option, kind))
    else rest.push(option)
  }
  const [partition, sectorSize] = [own.get('partition'), own.get('sector_size')]
  return {
    fstype: own.get('fstype'),
    partition: partition === undefined ? undefined : parsePartition(partition),
    sectorSize: sectorSize === undefined ? undefined : parseSectorSize(sectorSize),
    mount: own.get('mount'),
    isReadOnly,
    isRemount,
    breakLock: own.has('break_lock'),
    pageCache: own.has('page_cache'),
    objectCache: own.has('object_cache'),
    allowOther: own.has('allow_other'),
    allowSuid: own.has('allow_suid'),
    allowDev: own.has('allow_dev'),
    rest,
  }
}

function kindOf({ kind, volume }: MountSource): Kind {
  const what = volume === undefined ? 'tree' : 'volume'
  return kind === 'instance' ? what : `standalone ${what}`
}

/** At commas outside of double quotes, as mount(8) does. */
function splitOptions(text: string): string[] {
  return (text.match(/(?:"[^"]*"|[^,"]|")+/g) ?? []).filter((option) => option !== '')
}

/** The value of an option of sheepfs. Errors: invalid when it does not fit the source, or its value is wrong. */
function checkOwn(option: string, kind: Kind): string {
  const [name = '', ...values] = option.split('=')
  const value = values.join('=')
  const own = OWN[name]
  if (own?.for.kinds.includes(kind) !== true) {
    throw new SheepfsError('invalid', `option ${name} does not fit this source: it is for ${own?.for.text ?? 'none'}`)
  }
  if (own.hasValue && value === '') {
    throw new SheepfsError('invalid', `option ${name} needs a value: ${name}=…`)
  }
  if (!own.hasValue && values.length > 0) {
    throw new SheepfsError('invalid', `option ${name} takes no value, found "${value}"`)
  }
  return value
}

function parsePartition(text: string): number {
  const partition = Number(text)
  if (!/^\d+$/.test(text) || partition < 1 || partition > MOST_PARTITIONS) {
    throw new SheepfsError(
      'invalid',
      `option partition: expected a number from 1 to ${MOST_PARTITIONS}, found "${text}"`,
    )
  }
  return partition
}

function parseSectorSize(text: string): SectorSize {
  const found = SECTOR_SIZES.find((size) => String(size) === text)
  if (found !== undefined) return found
  throw new SheepfsError('invalid', `option sector_size: expected ${SECTOR_SIZES.join(' or ')}, found "${text}"`)
}
