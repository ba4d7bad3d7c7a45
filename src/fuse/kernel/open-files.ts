import { SheepfsError } from '../../errors.ts'
import { type Handle, type Tree } from '../../tree/node.ts'
import { type FileHandleNumbers } from './file-handle-numbers.ts'

/**
 * The files that the kernel has open, by fh. An fh that nobody here gave out belongs to a dead predecessor of this
 * session: its file is opened again when the handle is first used.
 */
export class OpenFiles {
  readonly #tree: Tree
  readonly #numbers: FileHandleNumbers
  readonly #handles = new Map<number, Handle>()
  readonly #adoptions = new Map<number, Promise<Handle>>()

  constructor(tree: Tree, numbers: FileHandleNumbers) {
    this.#tree = tree
    this.#numbers = numbers
  }

  /** The fh of a newly opened file. */
  add(handle: Handle, isWritable: boolean): number {
    const fh = this.#numbers.next(isWritable)
    this.#handles.set(fh, handle)
    return fh
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

  /** Closes a handle; one that was never adopted needs nothing. */
  async release(fh: number): Promise<void> {
    await this.#adoptions.get(fh)?.catch(() => undefined)
    const handle = this.#handles.get(fh)
    this.#handles.delete(fh)
    await handle?.close()
  }

  /** Closes everything. Rejects with the first failure, after all were tried. */
  async closeAll(): Promise<void> {
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    const results = await Promise.allSettled(handles.map((handle) => handle.close()))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #reopen(fh: number, id: number): Promise<Handle> {
    const node = this.#tree.node(id)
    if (node?.kind !== 'file') throw new SheepfsError('stale', `node ${id} is gone`)
    const handle = await node.open({ write: this.#numbers.isWritable(fh) })
    this.#handles.set(fh, handle)
    return handle
  }
}
