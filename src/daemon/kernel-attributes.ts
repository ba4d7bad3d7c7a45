import { join } from 'node:path'
import { runProgram } from '../fuse/run-program.ts'
import type { Logger } from '../log.ts'

/** Volumes whose times are set by one process; their names fit into its command line. */
const AT_ONCE = 256

/**
 * Makes the kernel take what it does not know of a volume: the size, when that has grown without it, and the time of a
 * change. On a mount that writes back the kernel owns both and believes nobody; it only learns of them by truncate(2),
 * which then changes nothing in the tree, and utimensat(2) (docs/fuse-kernel-protocol.md#9).
 */
export class KernelAttributes {
  readonly #mountpoint: string
  readonly #log: Logger
  /** By volume, in the order in which they changed. */
  readonly #sizes = new Map<string, number>()
  /** ms since 1970 */
  readonly #times = new Map<string, number>()
  #telling: Promise<void> | undefined

  constructor(mountpoint: string, log: Logger) {
    this.#mountpoint = mountpoint
    this.#log = log
  }

  /** Never fails, and does not wait for it. */
  setSize(volume: string, size: number): void {
    this.#sizes.set(volume, size)
    this.#telling ??= this.#tellAll()
  }

  /** mtime, ms since 1970. Never fails, and does not wait for it. */
  setModified(volume: string, modifiedMs: number): void {
    this.#times.set(volume, modifiedMs)
    this.#telling ??= this.#tellAll()
  }

  /** Resolves when the kernel was told of all that was set. */
  async whenTold(): Promise<void> {
    await this.#telling
  }

  /** What waits is not set any more. */
  stop(): void {
    this.#sizes.clear()
    this.#times.clear()
  }

  /** One process at a time; never rejects. */
  async #tellAll(): Promise<void> {
    await Promise.resolve() // what is set in the same turn goes together
    while (this.#sizes.size + this.#times.size > 0) {
      for (const [volume, size] of this.#sizes) {
        this.#sizes.delete(volume)
        await this.#run('truncate', [`--size=${size}`], [volume])
      }
      const batch = [...this.#times].slice(0, AT_ONCE)
      for (const [volume] of batch) this.#times.delete(volume)
      await this.#tellTimes(batch)
    }
    this.#telling = undefined
  }

  /** All get the latest: they changed within the same second. */
  async #tellTimes(batch: readonly (readonly [volume: string, modifiedMs: number])[]): Promise<void> {
    if (batch.length === 0) return
    const latestMs = Math.max(...batch.map(([, modifiedMs]) => modifiedMs))
    const options = ['-m', `--date=@${(latestMs / 1000).toFixed(6)}`]
    await this.#run(
      'touch',
      options,
      batch.map(([volume]) => volume),
    )
  }

  /** A process of its own: who serves the mount would answer itself, and no thread of this one may hang in it. */
  async #run(program: 'truncate' | 'touch', options: readonly string[], volumes: readonly string[]): Promise<void> {
    const paths = volumes.map((volume) => join(this.#mountpoint, 'volume', volume))
    try {
      const { isSuccess, complaint } = await runProgram(program, ['--no-create', ...options, '--', ...paths])
      if (!isSuccess) this.#log.warn({ volumes }, `the kernel does not take what ${program} tells it: ${complaint}`)
    } catch (error) {
      this.#log.warn({ volumes, err: error }, `the kernel is not told what ${program} would tell it`)
    }
  }
}
