import { countText } from '../count-text.ts'
import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { patientWaiter, type Waiter } from '../sheep/waiter.ts'
import { Attaching, type Attachment } from './attaching.ts'
import { FixedId, type NodeIds } from './node-ids.ts'
import type { TreeChange } from './node.ts'
import type { ServedVolume } from './served-volume.ts'
import { TemporaryVolumes } from './temporary-volumes.ts'
import type { SavedTimes } from './file-times.ts'
import { TimesReport } from './times-report.ts'
import { VolumeFile, type VolumeFileOptions } from './volume-file.ts'
import type { VolumeName } from './volume-name.ts'
import type { InodeIdentity } from '../volume/inode-identity.ts'

/** How a volume is to be attached, for whoever opens it. */
export interface HowToOpen {
  readonly readOnly?: boolean
  /** Detach it when nobody has it open any more; one that is attached for good stays. */
  readonly isTemporary?: boolean
  /** Take the lock of the VDI from whoever has it. */
  readonly breakLock?: boolean
  /** The node id it had in a predecessor of this process, which may still hold the lock of the VDI. */
  readonly nodeId?: number
  /** The inode that a predecessor of this process worked on; see `openVolume`. */
  readonly former?: InodeIdentity | undefined
  /** Its times there. */
  readonly times?: SavedTimes | undefined
}

/** Whatever is told of an attachment besides what a kernel has to know: once for each, whoever asked for it. */
export interface AttachmentEvent {
  readonly kind: 'attached' | 'detached'
  readonly volume: string
  /** Why it was detached though nobody asked for that. */
  readonly reason?: string
}

export interface AttachmentsOptions {
  /** What is opened for a waiter who waits no more is closed again. */
  readonly open: (name: VolumeName, how: HowToOpen, waiter: Waiter) => Promise<ServedVolume>
  readonly ids: NodeIds
  readonly file: Omit<VolumeFileOptions, 'onSize' | 'onContent' | 'onTruncated' | 'onTimes' | 'onOpened' | 'onClosed'>
  readonly announce: (change: TreeChange) => void
  /** 'detached' when the volume is closed, and its lock given back; not of those that end with the mount. */
  readonly tell: (event: AttachmentEvent) => void
  readonly log: Logger
  /** How long a detach waits for the last close of a file, ms. */
  readonly detachGraceMs?: number
}

/**
 * close(2) returns before the kernel has told of it (docs/fuse-kernel-protocol.md#5): a program may detach what it has
 * just closed.
 */
const DETACH_GRACE_MS = 500

/** The volumes of a mount. Each is open at most once, whoever asks for it and how often. */
export class Attachments {
  readonly #options: AttachmentsOptions
  readonly #report: TimesReport
  readonly #attached = new Map<string, VolumeFile>()
  /** By id: what is attached, and what was detached by force and still has open handles. */
  readonly #nodes = new Map<number, VolumeFile>()
  readonly #attaching = new Map<string, Attaching>()
  readonly #detaching = new Map<string, Promise<void>>()
  readonly #temporary: TemporaryVolumes
  /** Names that may not be attached now. */
  readonly #excluded = new Set<string>()
  #changedMs: number
  #isClosed = false

  constructor(options: AttachmentsOptions) {
    this.#options = options
    this.#changedMs = options.file.clock.date()
    this.#report = new TimesReport(options.announce, options.file.clock)
    this.#temporary = new TemporaryVolumes(options.file.clock, (file, reason) => {
      this.#detachUnused(file, reason)
    })
  }

  /** When a volume was attached or detached last, ms since 1970. */
  get changedMs(): number {
    return this.#changedMs
  }

  /** What is attached now, in the order it was attached in. */
  list(): readonly VolumeFile[] {
    return [...this.#attached.values()]
  }

  /** The attached volume of a canonical name. */
  find(name: string): VolumeFile | undefined {
    return this.#attached.get(name)
  }

  /** The volume with a node id, also while it is only open. */
  node(id: number): VolumeFile | undefined {
    return this.#nodes.get(id)
  }

  /**
   * Attaches a volume; one that is attached already is given again. What nobody waits for any more is not attached. Errors:
   * not-found, locked, not-supported, busy, closed, what the cluster answers.
   */
  async attach(name: VolumeName, how: HowToOpen = {}, waiter: Waiter = this.#patient()): Promise<Attachment> {
    for (;;) {
      const attached = this.#attached.get(name.text)
      if (attached !== undefined) {
        if (this.isTemporary(attached)) this.#temporary.expect(attached) // whoever attaches it has yet to open or keep it
        return { file: attached, isNew: false }
      }
      const attaching = this.#attaching.get(name.text) ?? this.#begin(name, how)
      if (!attaching.isGivenUp) return attaching.join(waiter)
      await waiter.until(attaching.settled) // it gives back what it has locked
    }
  }

  /** Whether the volume goes when nobody has it open any more. */
  isTemporary(file: VolumeFile): boolean {
    return this.#temporary.has(file)
  }

  /** From now on nothing is detached because nobody has it open: that is for a successor to see. */
  handOver(): void {
    this.#temporary.stop()
  }

  /** The volume stays attached, however it was attached. */
  keep(file: VolumeFile): void {
    if (!this.isTemporary(file)) return
    this.#temporary.forget(file)
    this.#options.announce({ kind: 'entry-kept', node: file.id })
  }

  /**
   * Detaches a volume and closes it. With `force` also while files are open: all they do fails with stale. Resolves when
   * the cluster has answered all that was asked before, and has the lock back. A waiter who does not wait that long leaves it
   * detached. With `isTemporary` only what is temporary. Errors: not-found, busy, what the last writes fail with (it is detached then all the same).
   */
  async detach(
    name: VolumeName,
    { force = false, isTemporary = false }: { readonly force?: boolean; readonly isTemporary?: boolean } = {},
    waiter: Waiter = this.#patient(),
  ): Promise<void> {
    const attaching = this.#attaching.get(name.text)
    if (attaching) await waiter.until(attaching.settled)
    const file = this.#attached.get(name.text)
    const closing = this.#detaching.get(name.text)
    if (file === undefined && (closing === undefined || isTemporary)) {
      await waiter.until(Promise.resolve(closing).catch(() => undefined)) // of that whoever detaches it hears
      throw new SheepfsError('not-found', `volume "${name.text}" is not attached`)
    }
    if (file && isTemporary) this.#temporary.checkUnused(file)
    if (file && !force) await this.#checkIdle(file)
    if (file && !file.isDetached) this.#remove(file)
    await this.#closed(name.text, waiter)
  }

  /** Does what must not happen to an attached volume; meanwhile it cannot be attached. Errors: busy, those of `work`. */
  async whileDetached<T>({ text }: VolumeName, waiter: Waiter, work: () => Promise<T>): Promise<T> {
    const closing = this.#detaching.get(text)
    if (closing) await waiter.until(closing.catch(() => undefined))
    if (this.#attached.has(text) || this.#attaching.has(text)) {
      throw new SheepfsError('busy', `VDI "${text}" is attached here: detach it first`)
    }
    this.#checkOpen({ text })
    this.#excluded.add(text)
    try {
      return await work()
    } finally {
      this.#excluded.delete(text)
    }
  }

  /** Closes every volume, and takes no more. For when nothing is mounted any more. Errors: what the last writes fail with. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const attaching of this.#attaching.values()) attaching.giveUp('the mount has ended')
    await Promise.all([...this.#attaching.values()].map(({ settled }) => settled))
    for (const file of this.list()) this.#remove(file)
    const outcomes = await Promise.allSettled(this.#detaching.values())
    // one that fails must not end the wait for the others: what they still write would be cut off
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  #patient(): Waiter {
    return patientWaiter(this.#options.file.clock)
  }

  #begin(name: VolumeName, how: HowToOpen): Attaching {
    const attaching = new Attaching(this.#options.file.clock, (waiter) => this.#open(name, how, waiter))
    this.#attaching.set(name.text, attaching)
    void attaching.settled.then(() => this.#attaching.delete(name.text))
    return attaching
  }

  async #open(name: VolumeName, how: HowToOpen, waiter: Waiter): Promise<VolumeFile> {
    const { open } = this.#options
    // its lock is released at the end of that
    await this.#detaching.get(name.text)?.catch(() => undefined)
    this.#checkOpen(name)
    waiter.signal.throwIfAborted()
    const volume = await open(name, how, waiter)
    if (this.#isClosed || waiter.signal.aborted) await volume.close()
    this.#checkOpen(name)
    waiter.signal.throwIfAborted()
    return this.#add(name, volume, how)
  }

  #add(name: VolumeName, volume: ServedVolume, how: HowToOpen): VolumeFile {
    const { nodeId, readOnly, times } = how
    const { ids, file: options, announce, tell, log } = this.#options
    if (nodeId !== undefined) ids.reserve(nodeId)
    const file = new VolumeFile(nodeId ?? ids.take(), {
      ...options,
      name: name.text,
      volume,
      isForReading: readOnly === true,
      times,
      onSize: ({ id, volume: { size } }) => {
        log.info({ volume: name.text, size }, 'the volume has another size than was known')
        announce({ kind: 'attributes', node: id, size })
      },
      onContent: ({ id }) => {
        announce({ kind: 'content', node: id })
      },
      onTruncated: ({ id }) => {
        log.info({ volume: name.text }, 'the volume was truncated: all of it reads as zeros')
        announce({ kind: 'truncated', node: id })
      },
      onTimes: (moving) => {
        this.#report.note(moving)
      },
      onOpened: (opened) => {
        this.#temporary.noteOpened(opened)
      },
      onClosed: (closed) => {
        this.#temporary.noteClosed(closed)
      },
    })
    if (how.isTemporary === true) this.#temporary.expect(file)
    this.#attached.set(file.name, file)
    this.#nodes.set(file.id, file)
    if (how.times?.isMoving === true) file.times.touch()
    this.#changedMs = this.#options.file.clock.date()
    log.info({ volume: file.name, size: volume.size, readOnly: volume.isReadOnly }, 'attached a volume')
    announce({ kind: 'entry-added', parent: FixedId.volume, name: file.name, node: file.id })
    tell({ kind: 'attached', volume: file.name })
    return file
  }

  /** Resolves when a detached volume is closed. */
  async #closed(volume: string, waiter: Waiter): Promise<void> {
    try {
      await waiter.until(this.#detaching.get(volume) ?? Promise.resolve())
    } catch (error) {
      if (!isSheepfsError(error) || error !== waiter.signal.reason) throw error
      const standing = 'it is detached, and closed as soon as the cluster answers; only then it is unlocked'
      throw new SheepfsError(error.code, `volume "${volume}": ${error.message}; ${standing}`, { cause: error })
    }
  }

  /** Two callers may detach one volume: both get here, and the second finds it detached. */
  async #checkIdle(file: VolumeFile): Promise<void> {
    await file.whenClosed(this.#options.detachGraceMs ?? DETACH_GRACE_MS)
    if (file.isDetached || file.openCount === 0) return
    throw new SheepfsError('busy', `volume "${file.name}" is in use: open ${countText(file.openCount, 'time')}`)
  }

  /** Nobody waits for the end of that: the log tells of what is lost. */
  #detachUnused(file: VolumeFile, reason: string): void {
    this.#remove(file, reason)
    this.#detaching.get(file.name)?.catch((error: unknown) => {
      this.#options.log.error(
        { volume: file.name, err: error },
        'a volume was detached that could not be closed in order',
      )
    })
  }

  #remove(file: VolumeFile, reason?: string): void {
    const { announce, tell, log } = this.#options
    this.#temporary.forget(file)
    file.detach()
    this.#attached.delete(file.name)
    void file.whenClosed().then(() => this.#nodes.delete(file.id))
    this.#changedMs = this.#options.file.clock.date()
    const why = reason === undefined ? {} : { reason }
    log.info({ volume: file.name, ...why }, 'detached a volume')
    announce({ kind: 'entry-removed', parent: FixedId.volume, name: file.name, node: file.id, ...why })
    const closing = this.#closeVolume(file).finally(() => {
      this.#detaching.delete(file.name)
      if (!this.#isClosed) tell({ kind: 'detached', volume: file.name, ...why })
    })
    closing.catch(() => undefined) // whoever detaches it awaits it too
    this.#detaching.set(file.name, closing)
  }

  /** A volume is closed when it has answered all it was asked. */
  async #closeVolume(file: VolumeFile): Promise<void> {
    await file.requests.whenEmpty()
    await file.volume.close()
  }

  #checkOpen({ text }: Pick<VolumeName, 'text'>): void {
    if (this.#isClosed) throw new SheepfsError('closed', 'the mount has ended')
    if (this.#excluded.has(text)) throw new SheepfsError('busy', `VDI "${text}" is being deleted`)
  }
}
