import type { Clock } from '../clock.ts'
import { errorText, SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { WAIT_LIMIT_MS, Waiter } from '../sheep/waiter.ts'
import type { Attributes, File, Handle } from './node.ts'
import { plainAttributes, type Owner } from './owner.ts'
import { TextHandle } from './text-handle.ts'

const CONTROL_MODE = 0o644
const NEWLINE = 0x0a

export interface ControlFileOptions {
  readonly clock: Clock
  /** Within the tree, for messages: "vdi/mount". */
  readonly path: string
  readonly owner: Owner
  readonly log: Logger
  /** What a reader sees. */
  readonly show: () => string
  /** Does what was written: one line, without its newline. Awaited; throws when that is not to be, or not in time. */
  readonly apply: (line: Uint8Array, waiter: Waiter) => unknown
}

/** A file that does something when it is written: every write(2) is one line, wherever it goes to. */
export class ControlFile implements File {
  readonly kind = 'file'
  readonly id: number
  readonly #options: ControlFileOptions

  constructor(id: number, options: ControlFileOptions) {
    this.id = id
    this.#options = options
  }

  attributes(): Promise<Attributes> {
    const { clock, owner, show } = this.#options
    const size = Buffer.byteLength(show())
    return Promise.resolve(
      plainAttributes(owner, { size, mode: CONTROL_MODE, modifiedMs: clock.date(), validity: 'never' }),
    )
  }

  open(): Promise<Handle> {
    const { path, show } = this.#options
    return Promise.resolve(new TextHandle(path, Buffer.from(show()), (data) => this.#write(data)))
  }

  resize(size: number): Promise<void> {
    const { path, show } = this.#options
    if (size === 0 || size === Buffer.byteLength(show())) return Promise.resolve()
    return Promise.reject(new SheepfsError('not-permitted', `${path} cannot be resized`))
  }

  async #write(data: Uint8Array): Promise<number> {
    const { clock, path, log, apply } = this.#options
    const waiter = new Waiter({ clock, limitMs: WAIT_LIMIT_MS })
    try {
      // the engine takes its buffer back when this resolves, but what was attached keeps its name
      await apply(oneLine(path, data.slice()), waiter)
    } catch (error) {
      // whoever wrote gets a bare errno, so the reason has to be told here
      log.warn({ file: path, code: error instanceof SheepfsError ? error.code : undefined }, errorText(error))
      throw error
    } finally {
      waiter.end()
    }
    return data.length
  }
}

function oneLine(path: string, data: Uint8Array): Uint8Array {
  const end = data.indexOf(NEWLINE)
  if (end === -1) return data
  if (end === data.length - 1) return data.subarray(0, end)
  throw new SheepfsError('invalid', `${path} takes one line per write; a newline in a name is written %0A`)
}
