import { SheepfsError } from '../../errors.ts'
import { type File, type Handle, type Tree } from '../../tree/node.ts'
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
  #isClosed = false

  constructor(tree: Tree, numbers: FileHandleNumbers) {
    this.#tree = tree
    this.#numbers = numbers
  }

  /** Opens a file under a new fh. Errors: closed, and those of opening it. */
  async open(file: File, access: { readonly write: boolean }): Promise<{ fh: number; handle: Handle }> {
    const fh = this.#numbers.next(access.write)
    return { fh, handle: await this.#open(fh, file, access) }
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
    this.#isClosed = true
    const handles = [...this.#handles.values()]
    this.#handles.clear()
    const results = await Promise.allSettled(handles.map((handle) => handle.close()))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async #reopen(fh: number, id: number): Promise<Handle> {
    const node = this.#tree.node(id)
    if (node?.kind !== 'file') throw new SheepfsError('stale', `node ${id} is gone`)
    return this.#open(fh, node, { write: this.#numbers.isWritable(fh) })
  }

  async #open(fh: number, file: File, access: { readonly write: boolean }): Promise<Handle> {
    const handle = await file.open(access)
    if (this.#isClosed) {
      await handle.close()
      throw new SheepfsError('closed', 'the mount ended while a file was being opened')
    }
    this.#handles.set(fh, handle)
    return handle
  }
}
