import { SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { File, Handle, Tree } from '../../tree/node.ts'
import { described } from '../mount-holders.ts'
import type { FileHandleNumbers } from './file-handle-numbers.ts'
import { isOfProcess, openerNow, tellsSize, type Opener } from './opener.ts'

/** An open file, as a successor of this session must have it. */
export interface OpenHandle {
  readonly fh: number
  /** Id of its node. */
  readonly node: number
  readonly caching: Handle['caching']
  /** Id of the request that opened it, and who made that; 0 where it is not known. */
  readonly request: number
  readonly pid: number
  /** When that was, seconds since the machine was started. */
  readonly sinceS: number
}

/** A file that is open. */
interface Open {
  readonly handle: Handle
  readonly node: number
  /** Of what a predecessor had open and nobody told of: undefined. */
  readonly opener: Opener | undefined
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
  readonly #open = new Map<number, Open>()
  readonly #adoptions = new Map<number, Promise<Handle>>()
  /** Restored handles, by the request that opened them: it may not have been answered. */
  readonly #restored = new Map<number, number>()
  /** Closed before they could be restored. */
  readonly #released = new Set<number>()
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
    const { id, isResent, pid } = request
    const restored = isResent ? this.#restored.get(id) : undefined
    const opened = restored === undefined ? undefined : this.find(restored)
    if (restored !== undefined && opened !== undefined) return { fh: restored, handle: opened }
    const opener = openerNow(pid)
    const fh = this.#numbers.next(access.write)
    const handle = await this.#openAs(fh, file, { access, opener })
    this.#keeper?.opened({ fh, node: file.id, caching: handle.caching, request: id, ...opener })
    return { fh, handle }
  }

  /** Opens again what a predecessor had open. What cannot be opened is left to fail when it is used. */
  async restore(handles: readonly OpenHandle[], log: Logger): Promise<void> {
    await Promise.all(
      handles.map(async ({ fh, node, caching, request, pid, sinceS }) => {
        try {
          if (this.#released.has(fh)) return
          const handle = await this.#reopen(fh, node, { caching, opener: { pid, sinceS } })
          this.#restored.set(request, fh)
          if (!this.#released.has(fh)) return
          this.#open.delete(fh)
          await handle.close()
        } catch (error) {
          log.warn({ node, err: error }, 'a file that was open cannot be opened again')
        }
      }),
    )
    this.#released.clear()
  }

  find(fh: number): Handle | undefined {
    return this.#open.get(fh)?.handle
  }

  /** The handles of a node that are nobody else's: `fh`, what the requester's process has opened, and of `tellsSize`. */
  async ownOf(node: number, requester: { readonly pid: number; readonly fh: number | undefined }): Promise<Handle[]> {
    const own = await Promise.all(
      this.#openOf(node).map(async ([fh, { handle, opener }]) => {
        if (fh === requester.fh) return [handle]
        const isOwn = opener && ((await isOfProcess(opener, requester.pid)) || (await tellsSize(opener.pid)))
        return isOwn ? [handle] : []
      }),
    )
    return own.flat()
  }

  /** Who has a node open besides thread `pid`, for messages. */
  async othersOf(node: number, pid: number): Promise<string> {
    const openers = this.#openOf(node).map(([, { opener }]) => opener?.pid ?? 0)
    const others = await described(openers.filter((opener) => opener !== pid))
    return others.join(', ') || 'by what has ended, perhaps for a loop device'
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
    const open = this.#open.get(fh)
    if (!open) this.#released.add(fh)
    this.#open.delete(fh)
    this.#keeper?.closed({ fh, node })
    await open?.handle.close()
  }

  /** Closes everything. Rejects with the first failure, after all were tried. */
  async closeAll(): Promise<void> {
    this.#isClosed = true
    const open = [...this.#open.values()]
    this.#open.clear()
    const results = await Promise.allSettled(open.map(({ handle }) => handle.close()))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  #openOf(node: number): [fh: number, open: Open][] {
    return [...this.#open].filter(([, open]) => open.node === node)
  }

  async #reopen(
    fh: number,
    id: number,
    was?: { readonly caching: Handle['caching']; readonly opener: Opener },
  ): Promise<Handle> {
    const node = this.#tree.node(id)
    if (node?.kind !== 'file') throw new SheepfsError('stale', `node ${id} is gone`)
    const write = this.#numbers.isWritable(fh)
    const access = was === undefined ? { write } : { write, caching: was.caching }
    return this.#openAs(fh, node, { access, opener: was?.opener })
  }

  async #openAs(
    fh: number,
    file: File,
    { access, opener }: { readonly access: Parameters<File['open']>[0]; readonly opener: Opener | undefined },
  ): Promise<Handle> {
    const handle = await file.open(access)
    if (this.#isClosed) {
      await handle.close()
      throw new SheepfsError('closed', 'the mount ended while a file was being opened')
    }
    this.#open.set(fh, { handle, node: file.id, opener })
    return handle
  }
}
