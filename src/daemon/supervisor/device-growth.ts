import { realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { errorText } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { takeFileSize } from '../device/block-device.ts'
import { readLoops, type LoopState } from '../device/loop-table.ts'
import type { ManagedMount } from './managed-mount.ts'

const TRIES = 20
const PAUSE_MS = 100

/**
 * Where the volumes of a mount are, as the kernel names it, without symbolic links. The mount itself is not touched: it may wait
 * for its cluster.
 */
export async function volumeFolder({ mountpoint }: Pick<ManagedMount['config'], 'mountpoint'>): Promise<string> {
  const parent = await realpath(dirname(mountpoint)).catch(() => dirname(mountpoint))
  return join(parent, basename(mountpoint), 'volume')
}

/** Keeps the devices over volumes, mapped or mounted, as large as the volumes. */
export class DeviceGrowth {
  readonly #mount: Pick<ManagedMount, 'config' | 'kernelKnowsSizes'>
  readonly #log: Logger
  /** That devices do not have yet, by volume. */
  readonly #sizes = new Map<string, number>()
  #growing: Promise<void> | undefined

  constructor(mount: Pick<ManagedMount, 'config' | 'kernelKnowsSizes'>, log: Logger) {
    this.#mount = mount
    this.#log = log
  }

  /** Resolves when the kernel knows the new size of a volume, and so do the devices over it. Never rejects. */
  grow(volume: string, size: number): Promise<void> {
    this.#sizes.set(volume, size)
    return (this.#growing ??= this.#growAll())
  }

  /** One after the other, however often a worker tells. */
  async #growAll(): Promise<void> {
    for (const [volume, size] of this.#sizes) {
      this.#sizes.delete(volume)
      await this.#growOne(volume, size)
    }
    this.#growing = undefined
  }

  async #growOne(volume: string, size: number): Promise<void> {
    try {
      await this.#mount.kernelKnowsSizes()
      const file = join(await volumeFolder(this.#mount.config), volume)
      const whole = (loop: LoopState): boolean => loop.file === file && loop.sizeLimit === 0
      // the kernel hears of the size from the worker, in its own time
      for (let tries = 0; tries < TRIES; tries++) {
        const small = (await readLoops()).filter((loop) => whole(loop) && loop.offset + loop.size < size)
        if (small.length === 0) return
        if (tries > 0) await pause(PAUSE_MS)
        await Promise.all(small.map(takeFileSize))
      }
    } catch (error) {
      this.#log.warn({ volume }, `its block device does not grow: ${errorText(error)}`)
    }
  }
}
