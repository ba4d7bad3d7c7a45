import { join } from 'node:path'
import { runProgram } from '../fuse/run-program.ts'
import type { Logger } from '../log.ts'

/**
 * Makes the kernel take the new size of a volume that has grown without it. On a mount that writes back the kernel owns
 * the size of a file and believes nobody; it only learns of another one by truncate(2), which then changes nothing in
 * the tree (docs/fuse-kernel-protocol.md#9).
 */
export class KernelSizes {
  readonly #mountpoint: string
  readonly #log: Logger
  /** By volume, in the order in which they changed. */
  readonly #waiting = new Map<string, number>()
  #setting: Promise<void> | undefined

  constructor(mountpoint: string, log: Logger) {
    this.#mountpoint = mountpoint
    this.#log = log
  }

  /** Never fails, and does not wait for it. */
  set(volume: string, size: number): void {
    this.#waiting.set(volume, size)
    this.#setting ??= this.#setAll()
  }

  /** Resolves when the kernel was told of all sizes that were set. */
  async whenTold(): Promise<void> {
    await this.#setting
  }

  /** What waits is not set any more. */
  stop(): void {
    this.#waiting.clear()
  }

  /** One at a time; never rejects. */
  async #setAll(): Promise<void> {
    for (const [volume, size] of this.#waiting) {
      this.#waiting.delete(volume)
      await this.#set(volume, size)
    }
    this.#setting = undefined
  }

  /** By a process of its own: who serves the mount would answer itself, and no thread of this one may hang in it. */
  async #set(volume: string, size: number): Promise<void> {
    const path = join(this.#mountpoint, 'volume', volume)
    try {
      const { isSuccess, complaint } = await runProgram('truncate', ['--no-create', `--size=${size}`, '--', path])
      if (!isSuccess) this.#log.warn({ volume, size }, `the kernel does not take the new size: ${complaint}`)
    } catch (error) {
      this.#log.warn({ volume, size, err: error }, 'the kernel is not told of the new size')
    }
  }
}
