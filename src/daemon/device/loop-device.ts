import { setTimeout as sleep } from 'node:timers/promises'
import { SheepfsError } from '../../errors.ts'
import { HeldProgram } from '../system/held-program.ts'
import { runSystemProgram } from '../system/system-program.ts'
import { backingFile } from './loop-table.ts'
import type { SectorSize, VolumeRange } from './partition-table.ts'

/** A loop device over a volume. */
export interface LoopDevice {
  /** For example `/dev/loop0`. */
  readonly path: string
  /** From then on the device goes with its last user, unless somebody else has set it up for good. */
  release(): Promise<void>
}

export interface LoopOptions {
  readonly isReadOnly: boolean
  readonly range: VolumeRange
  /** Undefined: that of the one that is there, or 512. */
  readonly sectorSize: SectorSize | undefined
  readonly signal: AbortSignal
}

interface ListedLoop {
  readonly name: string
  readonly offset: number
  readonly sizelimit: number
  readonly ro: boolean
  readonly 'log-sec': number
  /** Null when nobody serves the file any more. */
  readonly 'back-ino': number | null
}

const POLL_MS = 20

/** Keeps a file open. */
const OPEN = 'exec 3<"$1" && echo "$1" && exec cat >/dev/null'
/** Detached while it is open, a loop device goes with its last user (LO_FLAGS_AUTOCLEAR): losetup cannot ask for that before. */
const SET_UP = `trap '' INT TERM HUP; device=$(losetup "$@") && exec 3<"$device" && losetup --detach "$device" && echo "$device" && exec cat >/dev/null`

/** Keeps a file open until it is released, or this process ends. Errors: io. */
export function holdOpen(path: string, signal: AbortSignal): Promise<HeldProgram> {
  return HeldProgram.start('sh', ['-c', OPEN, 'sh', path], signal)
}

/**
 * A loop device over a part of a volume, with direct I/O: the one that is there, because two of them over the same bytes
 * would have two caches, or a new one. Nobody else may look for one meanwhile. Errors: busy when one overlaps that does not
 * fit; io.
 */
export async function takeLoopDevice(volume: string, options: LoopOptions): Promise<LoopDevice> {
  const { isReadOnly, range, sectorSize, signal } = options
  const present = await listLoops(volume, { signal })
  const fits = ({ offset, sizelimit, ro, 'log-sec': sector }: ListedLoop): boolean =>
    offset === range.offset &&
    sizelimit === range.size &&
    ro === isReadOnly &&
    (sectorSize === undefined || sector === sectorSize)
  const fitting = present.find(fits)
  if (fitting) {
    const held = await holdOpen(fitting.name, signal)
    const isThere = (await listLoops(volume, { signal })).some((loop) => loop.name === fitting.name && fits(loop))
    if (isThere) return { path: fitting.name, release: () => held.release() }
    await held.release() // its last user went before it was held
    return takeLoopDevice(volume, options)
  }
  const other = present.find((loop) => !(loop.ro && isReadOnly) && overlaps(range, loop))
  if (other) throw new SheepfsError('busy', `${other.name} is in use over the volume already, set up in another way`)
  const part = ['--offset', String(range.offset), ...(range.size === 0 ? [] : ['--sizelimit', String(range.size)])]
  const sectors = sectorSize === undefined ? [] : ['--sector-size', String(sectorSize)]
  const flags = ['--direct-io=on', ...sectors, ...(isReadOnly ? ['--read-only'] : [])]
  const args = ['--find', '--show', ...flags, ...part, volume]
  const held = await HeldProgram.start('sh', ['-c', SET_UP, 'sh', ...args], signal)
  return { path: held.said, release: () => held.release() }
}

/** The loop devices over a volume, by whatever path they were set up, but for those of an earlier mount there, which are dead. */
export async function listLoops(
  volume: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ListedLoop[]> {
  const args = ['--json', '--output', 'NAME,OFFSET,SIZELIMIT,RO,LOG-SEC,BACK-INO', '--associated', volume]
  const listed = await runSystemProgram('losetup', args, options)
  const loops = listed === '' ? [] : (JSON.parse(listed) as { loopdevices: ListedLoop[] }).loopdevices
  return loops.filter((loop) => loop['back-ino'] !== null)
}

function overlaps({ offset, size }: VolumeRange, loop: ListedLoop): boolean {
  const end = size === 0 ? Infinity : offset + size
  const loopEnd = loop.sizelimit === 0 ? Infinity : loop.offset + loop.sizelimit
  return offset < loopEnd && loop.offset < end
}

/** Resolves with true when the device is not over `file` any more; with false after `limitMs`. */
export async function isLoopFreed(device: string, file: string, limitMs: number): Promise<boolean> {
  const endMs = performance.now() + limitMs
  while ((await backingFile(device)) === file) {
    if (performance.now() >= endMs) return false
    await sleep(POLL_MS)
  }
  return true
}

/** True for a loop device. */
export function isLoopDevice(device: string): boolean {
  return /^\/dev\/loop\d+$/.test(device)
}
