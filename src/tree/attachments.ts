import { SheepfsError } from '../errors.ts'
import type { Logger } from '../log.ts'
import { FixedId, type NodeIds } from './node-ids.ts'
import type { TreeChange } from './node.ts'
import type { ServedVolume } from './served-volume.ts'
import { TemporaryVolumes } from './temporary-volumes.ts'
import type { SavedTimes } from './file-times.ts'
import { TimesReport } from './times-report.ts'
import { VolumeFile, type VolumeFileOptions } from './volume-file.ts'
import type { VolumeName } from './volume-name.ts'

/** How a volume is to be attached, for whoever opens it. */
export interface HowToOpen {
  readonly readOnly?: boolean
  /** Detach it when nobody has it open any more; one that is attached for good stays. */
  readonly isTemporary?: boolean
  /** Take the lock of the VDI from whoever has it. */
  readonly breakLock?: boolean
  /** The node id it had in a predecessor of this process, which may still hold the lock of the VDI. */
  readonly nodeId?: number
  /** Its times there. */
  readonly times?: SavedTimes | undefined
}

export interface AttachmentsOptions {
  readonly open: (name: VolumeName, how: HowToOpen) => Promise<ServedVolume>
  readonly ids: NodeIds
  readonly file: Omit<VolumeFileOptions, 'onSize' | 'onContent' | 'onTimes' | 'onOpened' | 'onClosed'>
  readonly announce: (change: TreeChange) => void
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
  readonly #attaching = new Map<string, Promise<VolumeFile>>()
  readonly #detaching = new Map<string, Promise<void>>()
  readonly #temporary: TemporaryVolumes
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
   * Attaches a volume; one that is attached already is given again. Errors: not-found, locked, not-supported, closed, what
   * the cluster answers.
   */
  async attach(name: VolumeName, how: HowToOpen = {}): Promise<VolumeFile> {
    const attached = this.#attached.get(name.text)
    if (attached !== undefined) {
      if (this.isTemporary(attached)) this.#temporary.expect(attached) // whoever attaches it has yet to open or keep it
      return attached
    }
    let attaching = this.#attaching.get(name.text)
    if (attaching === undefined) {
      attaching = this.#open(name, how).finally(() => this.#attaching.delete(name.text))
      this.#attaching.set(name.text, attaching)
    }
    return attaching
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
   * the cluster has answered all that was asked before, so it may wait through an outage. With `isTemporary` only what is
   * temporary. Errors: not-found, when what was there is closed; busy; what the last writes fail with (it is detached then
   * all the same).
   */
  async detach(
    name: VolumeName,
    { force = false, isTemporary = false }: { readonly force?: boolean; readonly isTemporary?: boolean } = {},
  ): Promise<void> {
    await this.#attaching.get(name.text)?.catch(() => undefined)
    const file = this.#attached.get(name.text)
    if (file === undefined) {
      await this.#detaching.get(name.text)?.catch(() => undefined) // of that whoever detaches it hears
      throw new SheepfsError('not-found', `volume "${name.text}" is not attached`)
    }
    if (isTemporary) this.#temporary.checkUnused(file)
    if (!force) await this.#checkIdle(file)
    if (!file.isDetached) this.#remove(file)
    await this.#detaching.get(name.text)
  }

  /** Closes every volume, and takes no more. For when nothing is mounted any more. Errors: what the last writes fail with. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#attaching.values())
    for (const file of this.list()) this.#remove(file)
    const outcomes = await Promise.allSettled(this.#detaching.values())
    // one that fails must not end the wait for the others: what they still write would be cut off
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #open(name: VolumeName, how: HowToOpen): Promise<VolumeFile> {
    const { nodeId } = how
    const { open, ids, file: options, announce, log } = this.#options
    // its lock is released at the end of that
    await this.#detaching.get(name.text)?.catch(() => undefined)
    this.#checkOpen()
    const volume = await open(name, how)
    if (this.#isClosed) await volume.close()
    this.#checkOpen()
    if (nodeId !== undefined) ids.reserve(nodeId)
    const file = new VolumeFile(nodeId ?? ids.take(), {
      ...options,
      name: name.text,
      volume,
      isForReading: how.readOnly === true,
      times: how.times,
      onSize: ({ id, volume: { size } }) => {
        log.info({ volume: name.text, size }, 'the volume has another size than was known')
        announce({ kind: 'attributes', node: id, size })
      },
      onContent: ({ id }) => {
        announce({ kind: 'content', node: id })
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
    return file
  }

  /** Two callers may detach one volume: both get here, and the second finds it detached. */
  async #checkIdle(file: VolumeFile): Promise<void> {
    await file.whenClosed(this.#options.detachGraceMs ?? DETACH_GRACE_MS)
    if (file.isDetached || file.openCount === 0) return
    throw new SheepfsError('busy', `volume "${file.name}" is in use: open ${file.openCount} times`)
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
    const { announce, log } = this.#options
    this.#temporary.forget(file)
    file.detach()
    this.#attached.delete(file.name)
    void file.whenClosed().then(() => this.#nodes.delete(file.id))
    this.#changedMs = this.#options.file.clock.date()
    const why = reason === undefined ? {} : { reason }
    log.info({ volume: file.name, ...why }, 'detached a volume')
    announce({ kind: 'entry-removed', parent: FixedId.volume, name: file.name, node: file.id, ...why })
    const closing = this.#closeVolume(file).finally(() => this.#detaching.delete(file.name))
    closing.catch(() => undefined) // whoever detaches it awaits it too
    this.#detaching.set(file.name, closing)
  }

  /** A volume is closed when it has answered all it was asked. */
  async #closeVolume(file: VolumeFile): Promise<void> {
    await file.requests.whenEmpty()
    await file.volume.close()
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new SheepfsError('closed', 'the mount has ended')
  }
}
