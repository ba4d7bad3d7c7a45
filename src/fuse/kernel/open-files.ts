import { SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { File, Handle, Tree } from '../../tree/node.ts'
import type { FileHandleNumbers } from './file-handle-numbers.ts'

/** An open file, as a successor of this session must have it. */
export interface OpenHandle {
  readonly fh: number
  /** Id of its node. */
  readonly node: number
  readonly caching: Handle['caching']
  /** Id of the request that opened it, and who made that; 0 where it is not known. */
  readonly request: number
  readonly pid: number
}

/**
 * Keeps what a successor must know of open files. It is told before the kernel is answered: a request that was carried out
 * and not answered comes again, so what it knows is never less than what the kernel has open.
 */
export interface HandleKeeper {
  opened(handle: OpenHandle): void
  /** Also of handles that it does not know. */
  closed(handle: Pick<OpenHandle, 'fh' | 'node'>): void
}

/** Keeps what is open in `handles`, by fh. */
export function keeperOf(handles: Map<number, OpenHandle>): HandleKeeper {
  return {
    opened: (handle) => handles.set(handle.fh, handle),
    closed: ({ fh }) => handles.delete(fh),
  }
}

/** Who opened what is open, a thread for each. */
export function openersOf(handles: ReadonlyMap<number, OpenHandle>): readonly number[] {
  return [...handles.values()].map(({ pid }) => pid)
}

/**
 * The files that the kernel has open, by fh. An fh that nobody here gave out and nobody restored belongs to a dead
 * predecessor of this session: its file is opened again when the handle is first used.
 */
export class OpenFiles {
  readonly #tree: Tree
  readonly #numbers: FileHandleNumbers
  readonly #keeper: HandleKeeper | undefined
  readonly #handles = new Map<number, Handle>()
  readonly #adoptions = new Map<number, Promise<Handle>>()
  /** Restored handles, by the request that opened them: it may not have been answered. */
  readonly #restored = new Map<number, number>()
  #isClosed = false

  constructor(tree: Tree, numbers: FileHandleNumbers, keeper?: HandleKeeper) {
    this.#tree = tree
    this.#numbers = numbers
    this.#keeper = keeper
  }

  /** Opens a file under a new fh. Errors: closed, and those of opening it. */
  async open(
    file: File,
    access: { readonly write: boolean },
    request: { readonly id: number; readonly pid: number; readonly isResent: boolean },
  ): Promise<{ fh: number; handle: Handle }> {
    const restored = request.isResent ? this.#restored.get(request.id) : undefined
    const opened = restored === undefined ? undefined : this.#handles.get(restored)
    if (restored !== undefined && opened !== undefined) return { fh: restored, handle: opened }
    const fh = this.#numbers.next(access.write)
    const handle = await this.#open(fh, file, access)
    this.#keeper?.opened({ fh, node: file.id, caching: handle.caching, request: request.id, pid: request.pid })
    return { fh, handle }
  }

  /** Opens again what a predecessor had open. What cannot be opened is left to fail when it is used. */
  async restore(handles: readonly OpenHandle[], log: Logger): Promise<void> {
    await Promise.all(
      handles.map(async ({ fh, node, caching, request }) => {
        try {
          await this.#reopen(fh, node, caching)
          this.#restored.set(request, fh)
        } catch (error) {
          log.warn({ node, err: error }, 'a file that was open cannot be opened again')
        }
      }),
    )
  }

  find(fh: number): Handle | undefined {
    return this.#handles.get(fh)
  }

  /** Opens a predecessor's handle. Errors: stale when the node is gone, and those of opening it. */
  adopt(fh: number, node: number): Promise<Handle> {
    const started = this.#adoptions.get(fh)
    if (started !== undefined) return started
    const adoption = this.#reopen(fh, node).finally(() => this.#adoptions.delete(fh))
    this.#adoptions.set(fh, adoption)
    return adoption
  }

  /** Closes a handle of a node; one that was never adopted needs nothing. */
  async release(fh: number, node: number): Promise<void> {
    await this.#adoptions.get(fh)?.catch(() => undefined)
    const handle = this.#handles.get(fh)
    this.#handles.delete(fh)
    this.#keeper?.closed({ fh, node })
    await handle?.close()
  }

  /** Closes everything. Rejects with the first failure, after all were tried. */
  async closeAll(): Promise<void> {
    this.#isClosed = true
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    const results = await Promise.allSettled(handles.map((handle) => handle.close()))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #reopen(fh: number, id: number, caching?: Handle['caching']): Promise<Handle> {
    const node = this.#tree.node(id)
    if (node?.kind !== 'file') throw new SheepfsError('stale', `node ${id} is gone`)
    const write = this.#numbers.isWritable(fh)
    return this.#open(fh, node, caching === undefined ? { write } : { write, caching })
  }

  async #open(fh: number, file: File, access: Parameters<File['open']>[0]): Promise<Handle> {
    const handle = await file.open(access)
    if (this.#isClosed) {
      await handle.close()
      throw new SheepfsError('closed', 'the mount ended while a file was being opened')
    }
    this.#handles.set(fh, handle)
    return handle
  }
}
