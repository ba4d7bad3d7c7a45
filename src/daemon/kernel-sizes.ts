import { join } from 'node:path'
import { runProgram } from '../fuse/run-program.ts'
import { type Logger } from '../log.ts'
import { type ClusterTree } from '../tree/cluster-tree.ts'

/**
 * Makes the kernel take the new size of a volume that others have grown. Under write-back caching the kernel owns the size
 * of a file and believes nobody; it only learns of another one by truncate(2), which then changes nothing in the tree.
 */
export class KernelSizes {
  readonly #tree: ClusterTree
  readonly #mountpoint: string
  readonly #log: Logger
  /** Node ids, in the order in which their sizes changed. */
  readonly #waiting = new Set<number>()
  #isSetting = false
  #unwatch: (() => void) | undefined

  constructor(tree: ClusterTree, mountpoint: string, log: Logger) {
    this.#tree = tree
    this.#mountpoint = mountpoint
    this.#log = log
  }

  /** Idempotent. */
  start(): void {
    this.#unwatch ??= this.#tree.watch((change) => {
      if (change.kind !== 'attributes') return
      this.#waiting.add(change.node)
      void this.#setAll()
    })
  }

  /** Idempotent. */
  stop(): void {
    this.#unwatch?.()
    this.#unwatch = undefined
    this.#waiting.clear()
  }

  /** One at a time; never rejects. */
  async #setAll(): Promise<void> {
    if (this.#isSetting) return
    this.#isSetting = true
    for (const node of this.#waiting) {
      this.#waiting.delete(node)
      const file = this.#tree.attachments.node(node)
      if (file && !file.isDetached) await this.#set(file.name, file.volume.size)
    }
    this.#isSetting = false
  }

  /** By a process of its own: this one would answer itself, and could not be killed while it waits. */
  async #set(name: string, size: number): Promise<void> {
    const path = join(this.#mountpoint, 'volume', name)
    try {
      const { isSuccess, complaint } = await runProgram('truncate', ['--no-create', `--size=${size}`, '--', path])
      if (!isSuccess) this.#log.warn({ volume: name, size }, `the kernel does not take the new size: ${complaint}`)
    } catch (error) {
      this.#log.warn({ volume: name, size, err: error }, 'the kernel is not told of the new size')
    }
  }
}
