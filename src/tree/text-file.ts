import type { Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import type { Attributes, File, Handle } from './node.ts'
import { plainAttributes, type Owner } from './owner.ts'
import { SharedText, type Rendering } from './shared-text.ts'
import { TextHandle } from './text-handle.ts'
import { withinTime } from './time-limit.ts'

const TEXT_MODE = 0o444

/** Longest wait of a stat(2), which a listing does for every file, ms. */
const STAT_LIMIT_MS = 5000

export interface TextFileOptions {
  readonly clock: Clock
  /** Within the tree, for messages: "vdi/list". */
  readonly path: string
  readonly owner: Owner
  /** The whole text as it is now. */
  readonly make: () => Promise<Uint8Array>
  /** Longest wait of an open(2), ms. */
  readonly openLimitMs: number
  /** Default 5000. */
  readonly statLimitMs?: number
}

/** A text about the cluster, made when the file is opened; its size is that of a text made for the stat. */
export class TextFile implements File {
  readonly kind = 'file'
  readonly id: number
  readonly #options: TextFileOptions
  readonly #text: SharedText
  #lastSize = 0

  constructor(id: number, options: TextFileOptions) {
    this.id = id
    this.#options = options
    this.#text = new SharedText(options.make, options.clock)
  }

  /** While the cluster does not answer: the size of the last text, 0 at first. */
  async attributes(): Promise<Attributes> {
    await this.#finished(this.#text.forStat(), this.#options.statLimitMs ?? STAT_LIMIT_MS).catch(() => undefined)
    return plainAttributes(this.#options.owner, {
      size: this.#lastSize,
      mode: TEXT_MODE,
      modifiedMs: this.#options.clock.date(),
      validity: 'never',
    })
  }

  /** Errors: not-permitted for writing, what the cluster answered, timeout. */
  async open(access: { readonly write: boolean }): Promise<Handle> {
    const { path, openLimitMs } = this.#options
    if (access.write) throw new SheepfsError('not-permitted', `${path} cannot be written`)
    return new TextHandle(path, await this.#finished(this.#text.forOpen(), openLimitMs))
  }

  resize(size: number): Promise<void> {
    if (size === 0 || size === this.#lastSize) return Promise.resolve()
    return Promise.reject(new SheepfsError('not-permitted', `${this.#options.path} cannot be resized`))
  }

  async #finished(rendering: Rendering, limitMs: number): Promise<Uint8Array> {
    const { clock, path } = this.#options
    const ms = Math.max(rendering.askedAt + limitMs - clock.now(), 0)
    const text = await withinTime(rendering.text, { clock, ms, what: path })
    this.#lastSize = text.length
    return text
  }
}
