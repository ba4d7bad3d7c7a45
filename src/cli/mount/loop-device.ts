import { access, readFile, readdir } from 'node:fs/promises'
import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SheepfsError } from '../../errors.ts'
import { runSystemProgram } from './system-program.ts'

/** A loop device over a volume. */
export interface LoopDevice {
  /** For example `/dev/loop0`. */
  readonly path: string
  /** It was there before: somebody else set it up, and it goes with them. */
  readonly isShared: boolean
}

export interface LoopOptions {
  readonly isReadOnly: boolean
  /** Whether the kernel shall look for partitions in it. */
  readonly hasPartitions: boolean
  readonly signal: AbortSignal
}

interface ListedLoop {
  readonly name: string
  readonly offset: number
  readonly sizelimit: number
  readonly ro: boolean
  readonly partscan: boolean
}

const DEVICE_WAIT_MS = 5000
const POLL_MS = 20

/**
 * A loop device over all of a volume, with direct I/O: the one that is there, because two of them over one volume would
 * have two caches, or a new one. Errors: busy when one is there that does not fit; io.
 */
export async function takeLoopDevice(volume: string, options: LoopOptions): Promise<LoopDevice> {
  const { isReadOnly, hasPartitions, signal } = options
  const columns = 'NAME,OFFSET,SIZELIMIT,RO,PARTSCAN'
  const listed = await runSystemProgram('losetup', ['--json', '--output', columns, '--associated', volume], { signal })
  const present = listed === '' ? [] : (JSON.parse(listed) as { loopdevices: ListedLoop[] }).loopdevices
  const fitting = present.find(
    ({ offset, sizelimit, ro, partscan }) =>
      offset === 0 && sizelimit === 0 && ro === isReadOnly && (partscan || !hasPartitions),
  )
  if (fitting) return { path: fitting.name, isShared: true }
  const [other] = present
  if (other && !(other.ro && isReadOnly)) {
    throw new SheepfsError('busy', `${other.name} is in use over the volume already, set up in another way`)
  }
  const flags = [...(isReadOnly ? ['--read-only'] : []), ...(hasPartitions ? ['--partscan'] : [])]
  const args = ['--find', '--show', '--direct-io=on', ...flags, volume]
  return { path: (await runSystemProgram('losetup', args, { signal })).trim(), isShared: false }
}

/** Frees the device: now, or when the last who uses it is gone. One that others set up stays theirs. */
export async function freeLoopDevice(loop: LoopDevice): Promise<void> {
  if (!loop.isShared) await runSystemProgram('losetup', ['--detach', loop.path])
}

/** The device of a partition. Errors: not-found, naming those that are there. */
export async function partitionDevice(loop: LoopDevice, partition: number, signal: AbortSignal): Promise<string> {
  const path = `${loop.path}p${partition}`
  const isThere = await isSoon(async () => exists(path), { limitMs: DEVICE_WAIT_MS, while: () => isListed(loop, path) })
  signal.throwIfAborted()
  if (isThere) return path
  const others = (await partitionsOf(loop)).map((name) => name.slice(basename(loop.path).length + 1))
  const known = others.length === 0 ? 'it has no partition table, or an empty one' : `it has ${others.join(', ')}`
  throw new SheepfsError('not-found', `the volume has no partition ${partition}: ${known}`)
}

/** Resolves with true when the device is not over `file` any more; with false after `limitMs`. */
export async function isLoopFreed(device: string, file: string, limitMs: number): Promise<boolean> {
  return isSoon(async () => (await backingFile(device)) !== file, { limitMs, while: () => true })
}

/** The file that a loop device is over; "" for one that is free. */
export async function backingFile(device: string): Promise<string> {
  return readFile(`/sys/block/${basename(device)}/loop/backing_file`, 'utf8').catch(() => '')
}

/** The loop device that a device is, or is a partition of; undefined for any other device. */
export function loopDeviceOf(device: string): string | undefined {
  return /^(\/dev\/loop\d+)(?:p\d+)?$/.exec(device)?.[1]
}

/** The kernel knows the partition; where udev makes the device file, that takes a moment. */
async function isListed(loop: LoopDevice, path: string): Promise<boolean> {
  return (await partitionsOf(loop)).includes(basename(path))
}

async function partitionsOf(loop: LoopDevice): Promise<string[]> {
  const name = basename(loop.path)
  return (await readdir(`/sys/block/${name}`)).filter((entry) => entry.startsWith(`${name}p`))
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

async function isSoon(
  holds: () => Promise<boolean>,
  options: { readonly limitMs: number; readonly while: () => boolean | Promise<boolean> },
): Promise<boolean> {
  const endMs = performance.now() + options.limitMs
  while (!(await holds())) {
    if (performance.now() >= endMs || !(await options.while())) return false
    await sleep(POLL_MS)
  }
  return true
}
