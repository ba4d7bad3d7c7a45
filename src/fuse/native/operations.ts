import { constants } from 'node:fs'
import { SheepfsError } from '../../errors.ts'
import type { Attributes, Entry, File, Handle, Node, Tree } from '../../tree/node.ts'
import type { MountOptions } from '../engine.ts'
import { encodeEntryStat, encodeStat, encodeStatvfs } from './stat-layout.ts'

/** Handles are numbers from 1 up to this: fuse-native.c passes them as int32 and takes 0 for none. */
const LARGEST_FILE = 2 ** 31 - 1

/** Step in which the end of a text is looked for. */
const MEASURE_STEP = 64 * 1024

interface OpenFile {
  readonly path: string
  readonly node: File
  readonly handle: Handle
  readonly readable: boolean
}

/** A directory as readdir(3) lists it, with "." and "..". */
export interface Listing {
  readonly names: readonly string[]
  readonly stats: readonly Uint32Array[]
}

/** What libfuse asks of a file system, by path and by number of an open file, over a tree. Errors: those of the tree. */
export class Operations {
  readonly #tree: Tree
  readonly #caching: MountOptions['caching']
  readonly #files = new Map<number, OpenFile>()
  /** When the content of a node last changed without the kernel's doing, in milliseconds since 1970. */
  readonly #changedMs = new Map<number, number>()
  /** Truncated to 0, and the kernel does not know yet. */
  readonly #emptied = new Set<number>()
  #lastFile = 0
  #lastTimeMs = 0

  constructor(tree: Tree, caching: MountOptions['caching']) {
    this.#tree = tree
    this.#caching = caching
  }

  /** How many files are open. */
  get openCount(): number {
    return this.#files.size
  }

  async getattr(path: string): Promise<Uint32Array> {
    return this.#stat(this.#find(path))
  }

  /** The attributes of an open file, which may be in no directory any more. */
  async fgetattr(file: number): Promise<Uint32Array> {
    const { node, handle, readable } = this.#file(file)
    // reads through the page cache end at st_size, so that has to be the length of this handle's text
    const measured = this.#caching === 'cached' && readable
    return this.#stat(node, measured ? handle : undefined)
  }

  async statfs(): Promise<Uint32Array> {
    return encodeStatvfs(await this.#tree.space())
  }

  readdir(path: string): Listing {
    const node = this.#find(path)
    if (node.kind !== 'directory') throw new SheepfsError('invalid', `"${path}" is not a directory`)
    const dots: Entry[] = [
      { name: '.', node },
      { name: '..', node: node.parent ?? node },
    ]
    const entries = [...dots, ...node.entries()]
    return { names: entries.map(({ name }) => name), stats: entries.map((entry) => encodeEntryStat(entry.node)) }
  }

  /** `flags` are those of open(2). Resolves with the number of the open file. */
  async open(path: string, flags: number): Promise<number> {
    const node = this.#find(path)
    if (node.kind !== 'file') throw new SheepfsError('invalid', `"${path}" is a directory`)
    const mode = flags & (constants.O_RDONLY | constants.O_WRONLY | constants.O_RDWR)
    const handle = await node.open({ write: mode !== constants.O_RDONLY })
    if ((flags & constants.O_TRUNC) !== 0) await this.#truncateOpened(node, handle)
    const file = this.#freeNumber()
    this.#files.set(file, { path, node, handle, readable: mode !== constants.O_WRONLY })
    return file
  }

  async read(file: number, position: number, into: Uint8Array): Promise<number> {
    return this.#file(file).handle.read(position, into)
  }

  async write(file: number, position: number, data: Uint8Array): Promise<number> {
    return this.#file(file).handle.write(position, data)
  }

  async fsync(file: number): Promise<void> {
    await this.#file(file).handle.sync()
  }

  async truncate(path: string, size: number): Promise<void> {
    const node = this.#find(path)
    if (node.kind !== 'file') throw new SheepfsError('invalid', `"${path}" is a directory`)
    await this.#resize(node, size, [])
  }

  async ftruncate(file: number, size: number): Promise<void> {
    const { node, handle } = this.#file(file)
    await this.#resize(node, size, [handle])
  }

  /** Errors: not-permitted, for what would be another mode or owner: nothing keeps it. */
  async change(path: string, wanted: Partial<Pick<Attributes, 'mode' | 'uid' | 'gid'>>): Promise<void> {
    const now = await this.#find(path).attributes()
    const isSame = (name: keyof typeof wanted): boolean => wanted[name] === undefined || wanted[name] === now[name]
    if (isSame('mode') && isSame('uid') && isSame('gid')) return
    throw new SheepfsError('not-permitted', `mode and owner of "${path}" cannot be changed`)
  }

  async release(file: number): Promise<void> {
    const { handle } = this.#file(file)
    this.#files.delete(file)
    await handle.close()
  }

  /** From now on cached pages of this node are dropped at its next open(2). */
  contentChanged(node: number): void {
    if (this.#caching === 'cached') this.#changedMs.set(node, this.#nextTimeMs())
  }

  /** Closes what an aborted mount has left open. Rejects with the first error when all are done. */
  async close(): Promise<void> {
    const results = await Promise.allSettled(Array.from(this.#files.keys(), (file) => this.release(file)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  async #truncateOpened(node: File, handle: Handle): Promise<void> {
    try {
      await node.resize(0, () => [handle])
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** libfuse asks for the attributes next, to answer the kernel: a size of 0 makes that drop what it has cached. */
  async #resize(node: File, size: number, own: readonly Handle[]): Promise<void> {
    await node.resize(size, () => own)
    if (size === 0 && node.tellSize) this.#emptied.add(node.id)
  }

  /** `content` is given when its length is the size to show of a text. */
  async #stat(node: Node, content?: Handle): Promise<Uint32Array> {
    const attributes = await node.attributes()
    if (attributes.validity === 'never') {
      const size = content === undefined ? attributes.size : await measure(content)
      // another time at every look: pages of a text must not outlive an open(2) (see auto_cache in mount-options.ts)
      const modifiedMs = this.#caching === 'cached' ? this.#nextTimeMs() : attributes.modifiedMs
      return encodeStat(node, { ...attributes, size, modifiedMs })
    }
    const modifiedMs = Math.max(attributes.modifiedMs, this.#changedMs.get(node.id) ?? 0)
    const size = this.#emptied.delete(node.id) ? 0 : attributes.size
    return encodeStat(node, { ...attributes, size, modifiedMs })
  }

  #nextTimeMs(): number {
    this.#lastTimeMs = Math.max(this.#lastTimeMs + 1, Date.now())
    return this.#lastTimeMs
  }

  #file(file: number): OpenFile {
    const open = this.#files.get(file)
    if (open === undefined) throw new SheepfsError('closed', `file handle ${file} is not open`)
    return open
  }

  #find(path: string): Node {
    const names = path.split('/').filter((name) => name !== '')
    const found = names.reduce<Node | undefined>(
      (node, name) => (node?.kind === 'directory' ? node.lookup(name) : undefined),
      this.#tree.root,
    )
    if (found !== undefined) return found
    // fstat(2) of a file that has left its directory while open comes as a path
    const left = Array.from(this.#files.values()).findLast((file) => file.path === path)
    if (left !== undefined) return left.node
    throw new SheepfsError('not-found', `"${path}" does not exist`)
  }

  #freeNumber(): number {
    do this.#lastFile = (this.#lastFile % LARGEST_FILE) + 1
    while (this.#files.has(this.#lastFile))
    return this.#lastFile
  }
}

async function measure(content: Handle): Promise<number> {
  const step = new Uint8Array(MEASURE_STEP)
  let length = 0
  for (;;) {
    const read = await content.read(length, step)
    length += read
    if (read < step.length) return length
  }
}
