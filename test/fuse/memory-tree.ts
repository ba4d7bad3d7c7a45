import { setTimeout as delay } from 'node:timers/promises'
import { SheepfsError } from '../../src/errors.ts'
import type {
  Attributes,
  Directory,
  Entry,
  File,
  Handle,
  Node,
  OwnHandles,
  Space,
  Tree,
  TreeChange,
} from '../../src/tree/node.ts'

const BLOCK = 4096
const ZEROS = Buffer.alloc(BLOCK)
const OWNER = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

/** How many reads and writes were being served at once. */
export interface Parallelism {
  now: number
  most: number
}

/** A directory of a `MemoryTree`. */
export class MemoryDirectory implements Directory {
  readonly kind = 'directory'
  readonly id: number
  readonly parent: Directory | undefined
  readonly #entries = new Map<string, Node>()

  constructor(id: number, parent: Directory | undefined) {
    this.id = id
    this.parent = parent
  }

  add(name: string, node: Node): void {
    this.#entries.set(name, node)
  }

  remove(name: string): void {
    this.#entries.delete(name)
  }

  lookup(name: string): Node | undefined {
    return this.#entries.get(name)
  }

  entries(): readonly Entry[] {
    return Array.from(this.#entries, ([name, node]) => ({ name, node }))
  }

  attributes(): Promise<Attributes> {
    return Promise.resolve({
      ...{ size: 0, allocated: 0, mode: 0o755, ...OWNER },
      ...{ modifiedMs: 0, changedMs: 0, blockSize: 4096, validity: 'until-told' as const },
    })
  }
}

/** A volume in memory: of fixed size, with the errors of a real one. */
export class MemoryVolume implements File {
  readonly kind = 'file'
  readonly id: number
  content: Buffer
  readonly parallelism: Parallelism
  /** How long each read and write takes, for seeing several at once. */
  latencyMs = 0
  /** How files opened from now on are cached, by an engine that can switch it. */
  caching: 'direct' | 'cached' = 'direct'
  /** Reads and writes so far. */
  requests = 0
  /** The calls of `Handle.zero`. */
  readonly zeroed: { readonly position: number; readonly length: number; readonly release: boolean }[] = []
  modifiedMs = Date.UTC(2024, 1, 29)
  changedMs = Date.UTC(2024, 2, 1) + 0.25
  syncs = 0
  opens = 0
  /** The calls of `tellSize`. */
  sizesTold = 0

  constructor(id: number, size: number, parallelism: Parallelism) {
    this.id = id
    this.content = Buffer.alloc(size)
    this.parallelism = parallelism
  }

  attributes(): Promise<Attributes> {
    return Promise.resolve({
      ...{ size: this.content.length, allocated: 4096, mode: 0o644, ...OWNER },
      ...{
        modifiedMs: this.modifiedMs,
        changedMs: this.changedMs,
        blockSize: 1 << 20,
        validity: 'until-told' as const,
      },
    })
  }

  open(): Promise<Handle> {
    this.opens++
    return Promise.resolve(new MemoryHandle(this))
  }

  async resize(size: number, own: OwnHandles): Promise<void> {
    if (size === this.content.length) return
    if (size > 0) throw new SheepfsError('not-permitted', 'a volume cannot shrink')
    for (let looks = 0; (await own()).length < this.opens; looks++) {
      if (looks === 25) throw new SheepfsError('busy', 'others have it open')
      await delay(20)
    }
    this.content.fill(0)
  }

  tellSize(): void {
    this.sizesTold++
  }
}

class MemoryHandle implements Handle {
  readonly caching: 'direct' | 'cached'
  readonly #volume: MemoryVolume

  constructor(volume: MemoryVolume) {
    this.caching = volume.caching
    this.#volume = volume
  }

  async read(position: number, into: Uint8Array): Promise<number> {
    await this.#wait()
    const { content } = this.#volume
    return position < content.length ? content.copy(into, 0, position) : 0
  }

  async write(position: number, data: Uint8Array): Promise<number> {
    await this.#wait()
    const { content } = this.#volume
    if (position >= content.length) throw new SheepfsError('no-space', 'past the end')
    const fitting = data.subarray(0, content.length - position)
    content.set(fitting, position)
    return fitting.length
  }

  sync(): Promise<void> {
    this.#volume.syncs++
    return Promise.resolve()
  }

  zero(position: number, length: number, { release }: { readonly release: boolean }): Promise<void> {
    this.#volume.content.fill(0, position, position + length)
    this.#volume.zeroed.push({ position, length, release })
    return Promise.resolve()
  }

  /** Blocks of zeros are holes; so is the end. */
  seek(position: number, wanted: 'data' | 'hole'): Promise<number> {
    const { content } = this.#volume
    for (let at = position; at < content.length; at = (Math.floor(at / BLOCK) + 1) * BLOCK) {
      const block = content.subarray(at, Math.floor(at / BLOCK + 1) * BLOCK)
      const isHole = block.equals(ZEROS.subarray(0, block.length))
      if (isHole === (wanted === 'hole')) return Promise.resolve(at)
    }
    if (wanted === 'hole' && position < content.length) return Promise.resolve(content.length)
    return Promise.reject(new SheepfsError('past-end', `no ${wanted} from ${position} on`))
  }

  close(): Promise<void> {
    this.#volume.opens--
    return Promise.resolve()
  }

  async #wait(): Promise<void> {
    const { parallelism, latencyMs } = this.#volume
    parallelism.now++
    this.#volume.requests++
    parallelism.most = Math.max(parallelism.most, parallelism.now)
    if (latencyMs > 0) await delay(latencyMs)
    parallelism.now--
  }
}

/** A text that is made at each open and lies about its size, as files of /proc do; what is written becomes the text. */
export class MemoryText implements File {
  readonly kind = 'file'
  readonly id: number
  text: string
  /** What stat(2) shows. */
  shownSize = 0

  constructor(id: number, text: string) {
    this.id = id
    this.text = text
  }

  attributes(): Promise<Attributes> {
    return Promise.resolve({
      ...{ size: this.shownSize, allocated: 0, mode: 0o644, ...OWNER },
      ...{ modifiedMs: 0, changedMs: 0, blockSize: 4096, validity: 'never' as const },
    })
  }

  open(): Promise<Handle> {
    const text = Buffer.from(this.text)
    return Promise.resolve({
      caching: 'direct',
      read: (position, into) => Promise.resolve(position < text.length ? text.copy(into, 0, position) : 0),
      write: (_, data) => {
        this.text = Buffer.from(data).toString()
        return Promise.resolve(data.length)
      },
      sync: () => Promise.resolve(),
      zero: () => Promise.reject(new SheepfsError('not-supported', 'a text has no holes')),
      seek: () => Promise.reject(new SheepfsError('not-supported', 'a text has no holes')),
      close: () => Promise.resolve(),
    })
  }

  resize(): Promise<void> {
    return Promise.resolve()
  }
}

/** A tree in memory, as small as engines need: `vdi/list` and `config/page_cache` are texts, `volume/test` a volume. */
export class MemoryTree implements Tree {
  readonly root = new MemoryDirectory(1, undefined)
  readonly volumes = new MemoryDirectory(2, this.root)
  readonly parallelism: Parallelism = { now: 0, most: 0 }
  readonly volume: MemoryVolume
  readonly list = new MemoryText(11, 'a text\nof two lines\n')
  readonly pageCache = new MemoryText(12, '0\n')
  readonly #listeners = new Set<(change: TreeChange) => void>()
  readonly #nodes = new Map<number, Node>()

  constructor(volumeSize: number) {
    this.volume = new MemoryVolume(10, volumeSize, this.parallelism)
    this.root.add('volume', this.volumes)
    this.volumes.add('test', this.volume)
    this.#folder(3, 'vdi').add('list', this.list)
    this.#folder(4, 'config').add('page_cache', this.pageCache)
    for (const node of [this.root, this.volumes, this.volume, this.list, this.pageCache]) this.#nodes.set(node.id, node)
  }

  node(id: number): Node | undefined {
    return this.#nodes.get(id)
  }

  space(): Promise<Space> {
    return Promise.resolve({ total: 3 * 2 ** 44, free: 2 ** 44 })
  }

  watch(listener: (change: TreeChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(change: TreeChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  #folder(id: number, name: string): MemoryDirectory {
    const folder = new MemoryDirectory(id, this.root)
    this.root.add(name, folder)
    this.#nodes.set(id, folder)
    return folder
  }
}
