import { readFile, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { isDeadLoop } from '../../daemon/system/dead-mount.ts'
import { SheepfsError } from '../../errors.ts'
import { holdOpen, type LoopDevice } from '../../daemon/device/loop-device.ts'
import { SECTOR_SIZES, type SectorSize } from '../../daemon/device/partition-table.ts'
import type { MountRequest } from './mount-request.ts'
import type { StandaloneSource } from './mount-source.ts'

/** A loop device over a volume that a daemon of its own serves. */
interface SharedLoop {
  readonly device: string
  /** What the kernel counts up whenever the device gets another content. */
  readonly diskseq: string
  readonly addresses: readonly string[]
  readonly partition: number | undefined
  /** Undefined: nobody asked for one. */
  readonly sectorSize: SectorSize | undefined
  readonly isReadOnly: boolean
}

/*
 * The file of such a device is in a tree that nobody sees any more, so nothing but a note tells what it is over. Before Linux
 * 5.15 nothing tells whether it still is: there every mount has a daemon of its own.
 */

/**
 * The loop device of an earlier mount of the same volume, held; undefined when there is none. Two of them, each with a daemon
 * and a cache of its own, would destroy what is in the volume. Errors: busy when there is one that does not fit.
 * @param file of the lock, which is held
 */
export async function findSharedLoop(
  file: string,
  source: StandaloneSource,
  { options, signal, tell }: MountRequest,
): Promise<LoopDevice | undefined> {
  const addresses = addressesOf(source)
  for (const loop of await liveLoops(file)) {
    if (!loop.addresses.some((address) => addresses.includes(address))) continue
    const { isReadOnly, partition, sectorSize } = options
    const isOfSectors = sectorSize === undefined || sectorSize === (loop.sectorSize ?? SECTOR_SIZES[0])
    if (loop.isReadOnly !== isReadOnly || loop.partition !== partition || !isOfSectors) {
      if (loop.isReadOnly && isReadOnly) continue
      throw new SheepfsError('busy', `${loop.device} is in use over the volume already, set up in another way`)
    }
    const held = await holdOpen(loop.device, signal)
    if (await isLive(loop)) {
      tell(`${loop.device} is over the volume already`)
      return { path: loop.device, release: () => held.release() }
    }
    await held.release()
  }
  return undefined
}

/** Notes a loop device for later mounts of its volume, until it goes. */
export async function noteSharedLoop(
  file: string,
  source: StandaloneSource,
  { options: { partition, sectorSize, isReadOnly } }: MountRequest,
  { path: device }: LoopDevice,
): Promise<void> {
  const addresses = addressesOf(source)
  const noted = { device, diskseq: await diskseqOf(device), addresses, partition, sectorSize, isReadOnly }
  await writeFile(file, JSON.stringify([...(await liveLoops(file)), noted]))
}

async function liveLoops(file: string): Promise<SharedLoop[]> {
  const noted = parseNotes(await readFile(file, 'utf8'))
  const areLive = await Promise.all(noted.map(isLive))
  return noted.filter((_, i) => areLive[i])
}

/** Before the first note the file is empty. */
function parseNotes(text: string): SharedLoop[] {
  try {
    return JSON.parse(text) as SharedLoop[]
  } catch {
    return []
  }
}

async function isLive({ device, diskseq }: SharedLoop): Promise<boolean> {
  return diskseq !== '' && (await diskseqOf(device)) === diskseq && !(await isDeadLoop(device))
}

function diskseqOf(device: string): Promise<string> {
  return readFile(`/sys/block/${basename(device)}/diskseq`, 'utf8').catch(() => '')
}

const DEFAULT_PORT = ':7000'

function addressesOf({ addresses }: StandaloneSource): string[] {
  return addresses.split(',').map((address) => (/:\d+$/.test(address) ? address : address + DEFAULT_PORT))
}
