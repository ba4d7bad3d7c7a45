import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SheepfsError } from '../../errors.ts'
import { deviceNumber, findMount, MOUNT_TYPE } from '../../fuse/mount-table.ts'
import type { HeldProgram } from '../system/held-program.ts'
import { runSystemProgram } from '../system/system-program.ts'
import { holdOpen } from './loop-device.ts'

/*
 * Whoever serves a tree says what is at the paths in it: a link to a file of the host, or a device. And where a tree was,
 * something else may be. So what root makes of a volume is looked at, not what its path was when it was made.
 */

const S_IFMT = 0o170000
const S_IFREG = 0o100000

/** The number of the file system that the file of a volume lies on, its tree. Errors: io, when there is no tree of ours. */
async function numberOfTree(volume: string): Promise<number> {
  const tree = dirname(dirname(volume))
  const parent = await realpath(dirname(tree)).catch(() => dirname(tree)) // the tree itself is not touched
  const mount = await findMount(join(parent, basename(tree)))
  if (mount?.type === MOUNT_TYPE) return deviceNumber(mount)
  throw new SheepfsError('io', `"${volume}" is no volume: no tree of sheepfs is mounted at "${tree}"`)
}

/** Errors: io, when it is no file, or lies outside of its tree; as `runSystemProgram`. */
async function checkVolume(volume: string, signal: AbortSignal): Promise<void> {
  const number = await numberOfTree(volume)
  const said = await runSystemProgram('stat', ['--format=%d %f', '--', volume], { signal })
  const [device, mode = ''] = said.trim().split(' ')
  if (Number(device) === number && (parseInt(mode, 16) & S_IFMT) === S_IFREG) return
  throw new SheepfsError('io', `"${volume}" is no volume: expected a file of the tree that it is in`)
}

/** Keeps a volume open until it is released, or this process ends. Errors: io, also when what is there is no volume. */
export async function holdVolume(volume: string, signal: AbortSignal): Promise<HeldProgram> {
  await checkVolume(volume, signal)
  return holdOpen(volume, signal)
}

/**
 * What `make` makes of a volume: something over a loop device, which is taken back when that is over a file elsewhere. Errors:
 * io, when what is there is no volume; those of `make`.
 */
export async function overVolume<T>(
  volume: string,
  signal: AbortSignal,
  { make, deviceOf, takeBack }: DeviceMaking<T>,
): Promise<T> {
  await checkVolume(volume, signal)
  const made = await make()
  try {
    await checkBacking(deviceOf(made), volume)
    return made
  } catch (error) {
    await takeBack(made)
    throw error
  }
}

interface DeviceMaking<T> {
  readonly make: () => Promise<T>
  /** The path of the loop device. */
  readonly deviceOf: (made: T) => string
  readonly takeBack: (made: T) => Promise<unknown>
}

/** Errors: io, when the device is over a file outside of the tree. */
async function checkBacking(device: string, volume: string): Promise<void> {
  const listed = await runSystemProgram('losetup', ['--json', '--list', '--output', 'BACK-MAJ:MIN', device])
  const [found] = (JSON.parse(listed) as { loopdevices: { 'back-maj:min': string }[] }).loopdevices
  const [major, minor] = (found?.['back-maj:min'] ?? '').split(':').map(Number)
  if (major !== undefined && minor !== undefined && deviceNumber({ major, minor }) === (await numberOfTree(volume)))
    return
  throw new SheepfsError('io', `${device} is not over "${volume}": what is there leads out of its tree`)
}
