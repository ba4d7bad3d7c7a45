import { sleep, type Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { FileTimes, type SavedTimes } from './file-times.ts'
import type { Attributes, File, Handle, OwnHandles } from './node.ts'
import { Occupancy } from './occupancy.ts'
import type { Owner } from './owner.ts'
import type { ServedVolume } from './served-volume.ts'
import { VolumeHandle } from './volume-handle.ts'

/** What all volume files of a tree have in common. */
export interface VolumeFileOptions {
  readonly clock: Clock
  readonly owner: Owner
  /** Permission bits; those for writing are dropped from volumes that are read-only. */
  readonly mode: number
  /** How a file that is opened now is cached. */
  readonly caching: () => 'direct' | 'cached'
  /** The size is another one than the kernel knows. */
  readonly onSize: (file: VolumeFile) => void
  /** The content may have changed, and the kernel does not know. */
  readonly onContent: (file: VolumeFile) => void
  /** All of it reads as zeros. */
  readonly onTruncated: (file: VolumeFile) => void
  /** Its times have moved, or are about to. */
  readonly onTimes: (file: VolumeFile) => void
  /** A handle is opened. */
  readonly onOpened: (file: VolumeFile) => void
  /** The last handle was closed. */
  readonly onClosed: (file: VolumeFile) => void
}

/** What is of one volume file. */
interface AttachedAs {
  readonly name: string
  readonly volume: ServedVolume
  readonly isForReading: boolean
  /** What a predecessor of this process knew. */
  readonly times?: SavedTimes | undefined
}

const WRITE_BITS = 0o222
/** st_blksize: an object, within what one request of the kernel takes. Buffers of programs get that large. */
const BLOCK_SIZE = { least: 4096, most: 1 << 20 } as const

/** How long a truncation to nothing waits for the last close of others, ms. */
const CLOSE_GRACE_MS = 500
const CLOSE_LOOK_MS = 20

/** How soon after a write past the end the kernel is told of the size, and how often at most while more follow, ms. */
const OVERRUN_PAUSE_MS = 100

/** An attached volume, as a file. It is there until it was detached and its last handle was closed. */
export class VolumeFile implements File {
  readonly kind = 'file'
  readonly id: number
  /** The canonical name of the volume, and of its file. */
  readonly name: string
  readonly volume: ServedVolume
  /** Attached for reading only because somebody wanted that: a volume that can be written need not be open for it. */
  readonly isForReading: boolean
  /** Requests of all handles that the volume has not answered. */
  readonly requests: Occupancy
  /** Handles not closed yet, by the way they are cached. */
  readonly handles: { readonly direct: Occupancy; readonly cached: Occupancy }
  /** Somebody else may have written until now: no earlier backup can know it as it is. */
  readonly times: FileTimes
  readonly #options: VolumeFileOptions
  #isDetached = false
  #isTelling = false
  #isSizeUntold = false
  #truncating: Promise<void> | undefined
  readonly #open = new Set<Handle>()

  constructor(id: number, options: AttachedAs & VolumeFileOptions) {
    this.id = id
    this.name = options.name
    this.volume = options.volume
    this.isForReading = options.isForReading
    this.#options = options
    const { clock } = options
    const sinceMs = options.volume.fixedMs ?? clock.date()
    const onMove = (): void => {
      options.onTimes(this)
    }
    this.times = new FileTimes(options.times ?? { modifiedMs: sinceMs, changedMs: sinceMs }, { clock, onMove })
    this.requests = new Occupancy(clock)
    this.handles = { direct: new Occupancy(clock), cached: new Occupancy(clock) }
  }

  /** How many handles are open. */
  get openCount(): number {
    return this.handles.direct.count + this.handles.cached.count
  }

  get isDetached(): boolean {
    return this.#isDetached
  }

  /** Errors: stale when it was detached. */
  attributes(): Promise<Attributes> {
    if (this.#isDetached) return Promise.reject(this.#stale())
    const { volume, times } = this
    const { mode, owner } = this.#options
    return Promise.resolve({
      ...owner,
      size: volume.size,
      allocated: volume.allocatedBytes,
      mode: volume.isReadOnly ? mode & ~WRITE_BITS : mode,
      modifiedMs: times.modifiedMs,
      changedMs: times.changedMs,
      blockSize: Math.min(Math.max(volume.objectSize, BLOCK_SIZE.least), BLOCK_SIZE.most),
      validity: 'until-told',
    })
  }

  /** Looks for what others did to the volume, unless the handle is taken over. Errors: stale, read-only, unreachable. */
  async open(access: Parameters<File['open']>[0]): Promise<Handle> {
    if (this.#isDetached) throw this.#stale()
    if (access.write && this.volume.isReadOnly) throw this.#readOnly()
    const caching = access.caching ?? this.#options.caching()
    const handles = this.handles[caching]
    handles.enter() // before the cluster is asked: a detach meanwhile finds it in use
    this.#options.onOpened(this)
    try {
      if (access.caching === undefined) await this.refresh()
    } catch (error) {
      this.#leave(handles)
      throw error
    }
    const handle = new VolumeHandle(this, {
      caching,
      onClose: () => {
        // what others overwrite is not noticed: whoever reads it the next time must not take it for what was read now
        if (this.volume.hasOtherWriters) this.times.touch()
        this.#open.delete(handle)
        this.#leave(handles)
      },
    })
    this.#open.add(handle)
    return handle
  }

  #leave(handles: Occupancy): void {
    handles.leave()
    if (this.openCount === 0) this.#options.onClosed(this)
  }

  /** Adopts what others did to the volume, and tells of a new size and of new content. Errors: stale, unreachable. */
  async refresh(): Promise<void> {
    if (this.#isDetached) throw this.#stale()
    this.requests.enter()
    try {
      const { allocatedBytes } = this.volume
      const isResized = await this.volume.refresh()
      if (isResized || this.volume.allocatedBytes !== allocatedBytes) this.times.touch()
      if (isResized) this.#options.onSize(this)
      if (this.volume.hasOtherWriters) this.#options.onContent(this)
    } finally {
      this.requests.leave()
    }
  }

  /** The size that a kernel believes in: after a truncation 0, until it knows the true one. */
  get knownSize(): number {
    return this.#isSizeUntold ? 0 : this.volume.size
  }

  /** Tells of the size: a kernel knows another one, perhaps from a predecessor of this process. */
  tellSize(): void {
    this.#options.onSize(this)
  }

  noteSize(isKnown: boolean): void {
    this.#isSizeUntold = !isKnown
  }

  setTimes(modifiedMs: number, changedMs: number | undefined): void {
    if (this.volume.fixedMs !== undefined) throw this.#readOnly()
    this.times.set(modifiedMs, changedMs)
  }

  /** Errors: stale, read-only, busy for 0, not-permitted for shrinking, too-large. */
  async resize(size: number, own: OwnHandles): Promise<void> {
    if (this.#isDetached) throw this.#stale()
    const { volume } = this
    if (size === volume.size) return
    this.#checkWritable()
    if (size === 0) return this.#truncate(own)
    this.requests.enter()
    try {
      await volume.grow(size)
      this.times.touch()
    } finally {
      this.requests.leave()
    }
  }

  /** Settles when the truncation that is under way has ended: until there is none, no request is begun. */
  get truncating(): Promise<void> | undefined {
    return this.#truncating
  }

  /**
   * A kernel that caches has written past the end. It takes the file to be that long from then on, so it is told of the
   * size (docs/fuse-kernel-protocol.md#9).
   */
  noteOverrun(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    const tell = (): void => {
      this.#isTelling = false
      if (!this.#isDetached) this.#options.onSize(this)
    }
    this.#options.clock.after(OVERRUN_PAUSE_MS, tell, { isBackground: true })
  }

  /**
   * Makes all of the volume read as zeros, between the requests that came before and those that come after: what is answered
   * later is neither undone nor does it see what was there.
   */
  async #truncate(own: OwnHandles): Promise<void> {
    await this.#checkAlone(own)
    while (this.#truncating) await this.#truncating
    const truncation = this.#truncateNow().finally(() => (this.#truncating = undefined))
    this.#truncating = truncation.catch(() => undefined) // told to who asked for it
    await truncation
  }

  async #truncateNow(): Promise<void> {
    await this.requests.whenEmpty()
    await this.refresh() // it may have grown
    this.#checkWritable()
    this.requests.enter()
    this.times.touch() // before too, for whoever follows when it is not seen to end
    try {
      await this.volume.zero(0, this.volume.size)
      this.#isSizeUntold = true
      this.#options.onTruncated(this)
    } finally {
      this.times.touch() // what has failed may have been done in part
      this.requests.leave()
    }
  }

  /** A program may truncate what another has just closed: close(2) returns before the kernel has told of it. */
  async #checkAlone(own: OwnHandles): Promise<void> {
    const { clock } = this.#options
    for (const until = clock.now() + CLOSE_GRACE_MS; ;) {
      const handles = await own()
      const others = this.openCount - handles.filter((handle) => this.#open.has(handle)).length
      if (others <= 0) return
      if (clock.now() > until) {
        throw new SheepfsError('busy', `volume "${this.name}" is not truncated: others have it open, ${others} times`)
      }
      await sleep(clock, CLOSE_LOOK_MS)
    }
  }

  /** Refuses everything from now on, also on handles that are open. */
  detach(): void {
    this.#isDetached = true
  }

  /** Resolves with true when no handle is open, with false after `limitMs`. */
  async whenClosed(limitMs?: number): Promise<boolean> {
    const { direct, cached } = this.handles
    const [isDirectClosed, isCachedClosed] = await Promise.all([direct.whenEmpty(limitMs), cached.whenEmpty(limitMs)])
    return isDirectClosed && isCachedClosed
  }

  #checkWritable(): void {
    if (this.#isDetached) throw this.#stale()
    if (this.volume.isReadOnly) throw this.#readOnly()
  }

  #stale(): SheepfsError {
    return new SheepfsError('stale', `volume "${this.name}" was detached`)
  }

  #readOnly(): SheepfsError {
    return new SheepfsError('read-only', `volume "${this.name}" is read-only`)
  }
}
