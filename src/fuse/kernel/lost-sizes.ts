import type { Logger } from '../../log.ts'
import type { File } from '../../tree/node.ts'
import { notifyStoreZero } from '../../wire/fuse-notify.ts'
import type { Device } from './device.ts'

/** How long the kernel is to be told by truncate(2); then it takes the file for one byte too long. */
const TELLING_LIMIT_MS = 2000
/** By then whoever truncates has taken the answer. */
const TAKEN_MS = 100

type Lost = Pick<File, 'id' | 'noteSize' | 'tellSize'>

/** A volume that the kernel takes to be empty. */
interface Loss {
  readonly file: Lost
  readonly size: number
  /** Resolves when the kernel knows the size, or will not be told it. */
  readonly over: Promise<void>
  readonly end: () => void
  /** The file handles by which it is told. */
  readonly fhs: Set<number | undefined>
  /** Resolves when no STORE is under way. */
  stored: Promise<void>
}

/**
 * Volumes whose truncation was answered with a size of 0, so that the kernel drops what it has cached of them, dirty pages
 * too. Whoever does not write back is given the size when it asks next; what does not ask (an append, asynchronous reads)
 * is served by FUSE_NOTIFY_STORE of one byte behind the end, which makes the file one byte too long. A byte within could undo
 * what was written meanwhile. Whoever writes back believes only a truncate(2) to the true size (KernelAttributes): a stat(2) is
 * answered when that is done.
 */
export class LostSizes {
  readonly #device: Pick<Device, 'sendAside'>
  readonly #isWrittenBack: () => boolean
  readonly #log: Logger
  readonly #losses = new Map<number, Loss>()
  /** Of a STORE that the first answer may have undone. */
  readonly #repeats = new Map<number, NodeJS.Timeout>()
  readonly #stores = new Set<Promise<void>>()

  constructor(device: Pick<Device, 'sendAside'>, options: { isWrittenBack: () => boolean; log: Logger }) {
    this.#device = device
    this.#isWrittenBack = options.isWrittenBack
    this.#log = options.log
  }

  /** The answer that the size of a file is 0, which is `size`, has been given, perhaps by a predecessor of this process. */
  restore(file: Lost, size: number): void {
    const node = file.id
    file.noteSize?.(false)
    if (!this.#isWrittenBack()) {
      file.noteSize?.(true) // it asks
      void this.#store(node, size)
      clearTimeout(this.#repeats.get(node))
      this.#repeats.set(node, setTimeout(() => void this.#store(node, size), TAKEN_MS).unref())
      return
    }
    let end = (): void => undefined
    const over = new Promise<void>((resolve) => (end = resolve))
    const loss: Loss = { file, size, over, end, fhs: new Set(), stored: Promise.resolve() }
    this.#losses.set(node, loss)
    const limit = setTimeout(() => void this.overstate(node).then(end), TELLING_LIMIT_MS).unref()
    void over.then(() => {
      clearTimeout(limit)
      if (this.#losses.get(node) !== loss) return
      this.#losses.delete(node)
      file.noteSize?.(true)
    })
  }

  /** A truncate(2) by this handle is answered with a true size. It may be another than was lost. */
  told(node: number, fh: number | undefined): void {
    clearTimeout(this.#repeats.get(node))
    this.#losses.get(node)?.fhs.add(fh)
  }

  /** A handle was closed: the kernel has taken the answers to all it was used for. */
  closed(node: number, fh: number): void {
    const loss = this.#losses.get(node)
    if (loss?.fhs.has(fh) !== true) return
    void loss.stored.then(() => {
      if (loss.fhs.has(fh)) loss.end()
    })
  }

  /** Whether the kernel would give a wrong size of a node. */
  isLost(node: number): boolean {
    return this.#losses.has(node)
  }

  /** Resolves when the kernel knows the size of a node. */
  async whenKnown(node: number): Promise<void> {
    await this.#losses.get(node)?.over
  }

  /** Makes the kernel take the file for one byte too long, for who cannot wait: it may have locked the file. */
  async overstate(node: number): Promise<void> {
    const loss = this.#losses.get(node)
    if (loss?.fhs.size !== 0) return
    loss.stored = this.#store(node, loss.size).then(() => {
      if (loss.fhs.size === 0) return
      loss.fhs.clear() // what the kernel was told meanwhile may be a byte too long now
      loss.file.tellSize?.()
    })
    await loss.stored
  }

  /** Resolves when nothing is being written to the device any more. */
  async close(): Promise<void> {
    await Promise.all(this.#stores)
  }

  /** Never rejects. */
  #store(node: number, size: number): Promise<void> {
    const stored = this.#device
      .sendAside(notifyStoreZero(node, size))
      .catch((error: unknown) => {
        this.#log.warn({ err: error }, 'the kernel does not take the size of a volume back')
      })
      .finally(() => this.#stores.delete(stored))
    this.#stores.add(stored)
    return stored
  }
}
