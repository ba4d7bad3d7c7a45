import { EventEmitter } from 'node:events'
import { isDeepStrictEqual } from 'node:util'
import type { InstanceConfig, MountConfig, MountInput } from '../../api/schema/config.ts'
import type { Event } from '../../api/schema/event.ts'
import type { Status } from '../../api/schema/status.ts'
import type { Caller, Force } from '../../api/supervisor.ts'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import type { MountEntry } from '../../fuse/mount-table.ts'
import type { Logger, LogLevel } from '../../log.ts'
import { writeTrees } from '../device/device-link.ts'
import { chooseEngine } from '../choose-engine.ts'
import { parseMount } from '../config/config.ts'
import { pause } from './pause.ts'
import type { Keeping } from './kept-mount.ts'
import type { LeftMount } from './left-mounts.ts'
import { ManagedMount, type ManagedMountOptions } from './managed-mount.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import {
  savedVolumes,
  STATE_VERSION,
  type SavedState,
  type SavedStateFile,
  type SavedVolume,
} from '../config/saved-state.ts'

/** Between tries of a mount whose caller waits for the cluster. */
const MOUNT_PAUSE_MS = 1000

export interface InstanceOptions {
  readonly name: string
  readonly config: InstanceConfig
  readonly saved: SavedState
  readonly stateFile: SavedStateFile
  /** What udev reads of the mounts. */
  readonly treesFile: string
  readonly keeping: Keeping
  /** What the predecessor of this daemon has left mounted, by name; `config` has all of it. */
  readonly left: ReadonlyMap<string, LeftMount>
  readonly workerAccount: WorkerAccount | undefined
  readonly logLevel: LogLevel
  readonly log: Logger
}

/** The mounts of one daemon: how they come and go, what is told of them, and what a successor of the daemon finds. */
export class Instance {
  readonly #options: InstanceOptions
  readonly #mounts = new Map<string, ManagedMount>()
  readonly #events = new EventEmitter<{ event: [Event]; change: [] }>().setMaxListeners(0)
  #state: Status['state'] = 'starting'
  #lastSaved: SavedState | undefined
  config: InstanceConfig
  /** Where metrics can be read over the network now, as `metrics_listen` has it. */
  listensOn: string | undefined

  constructor(options: InstanceOptions) {
    this.#options = options
    this.config = options.config
  }

  get name(): string {
    return this.#options.name
  }

  /** Whom workers become; undefined: they stay what the daemon is. */
  get workerAccount(): WorkerAccount | undefined {
    return this.#options.workerAccount
  }

  set state(state: Status['state']) {
    this.#state = state
    if (state === 'stopping') this.emit({ type: 'stopping' })
    this.#events.emit('change')
  }

  get state(): Status['state'] {
    return this.#state
  }

  /** Errors: closed while it stops. */
  checkRunning(): void {
    if (this.#state === 'stopping') throw new SheepfsError('closed', 'the instance is stopping')
  }

  emit(event: Omit<Event, 'time'>): void {
    this.#events.emit('event', { ...event, time: new Date().toISOString() })
  }

  /** Calls `listener` for every event, from now until the returned function is called. */
  subscribe(listener: (event: Event) => void): () => void {
    this.#events.on('event', listener)
    return () => this.#events.off('event', listener)
  }

  /** Calls `listener` when something has changed that STATUS or the saved state tell of. */
  onChange(listener: () => void): void {
    this.#events.on('change', listener)
  }

  get managed(): readonly ManagedMount[] {
    return [...this.#mounts.values()]
  }

  /** Errors: not-found. */
  find(name: string): ManagedMount {
    const mount = this.#mounts.get(name)
    if (mount) return mount
    const names = [...this.#mounts.keys()].join(', ')
    throw new SheepfsError('not-found', `no mount "${name}": ${names === '' ? 'there is none' : `expected ${names}`}`)
  }

  /** False when it was removed meanwhile. */
  has(mount: ManagedMount): boolean {
    return this.#mounts.get(mount.name) === mount
  }

  /** A tree is one of its mounts. */
  serves({ minor }: MountEntry): boolean {
    return this.managed.some(({ keeper }) => keeper.minor === minor)
  }

  /** A predecessor has left something mounted. */
  get hasLeft(): boolean {
    return this.#options.left.size > 0
  }

  /** Where mounts are kept for a successor of this process. */
  get keeping(): Keeping {
    return this.#options.keeping
  }

  /** The mounts of the configuration, and those that a predecessor was given at run time. */
  wantedMounts(): ({ config: MountConfig } & Pick<ManagedMountOptions, 'isConfigured' | 'volumes' | 'left'>)[] {
    const { saved, left } = this.#options
    const configured = this.config.mount.map((config) => ({ config, isConfigured: true }))
    const names = new Set(this.config.mount.map(({ name }) => name))
    const added = saved.mounts.filter(({ name }) => !names.has(name))
    return [...configured, ...added.map((config) => ({ config, isConfigured: false }))].map((mount) => ({
      ...mount,
      volumes: savedVolumes(saved, mount.config.name),
      left: left.get(mount.config.name),
    }))
  }

  /** Adds a mount that does not serve yet. Errors: exists; closed while the instance stops, which would never end it. */
  enlist(
    config: MountConfig,
    how: Pick<ManagedMountOptions, 'isConfigured' | 'engine' | 'volumes' | 'left'>,
  ): ManagedMount {
    this.checkRunning()
    if (this.#mounts.has(config.name)) throw new SheepfsError('exists', `mount "${config.name}" is there already`)
    const { workerAccount, logLevel, log, keeping } = this.#options
    const mount = new ManagedMount({
      ...how,
      instance: this.name,
      config,
      keeping,
      workerAccount,
      logLevel,
      log,
      emit: (event) => {
        this.emit(event)
      },
      onChange: () => {
        this.#changed()
      },
    })
    this.#mounts.set(config.name, mount)
    return mount
  }

  /** Resolves when the mount serves, and its devices are there as far as they can be. Errors: why it does not; it is shown as failed then, and may be tried again. */
  async serve(mount: ManagedMount): Promise<void> {
    await mount.keeper.start()
    this.emit({ type: 'mount-added', mount: mount.name })
    this.#changed()
    await this.#tellUdev()
    await mount.devices.mapConfigured()
  }

  /**
   * Starts a mount of the configuration, with what was attached to it at run time; resolves when it serves. Errors: why it
   * does not; it is not there then.
   */
  async startMount(config: MountConfig, volumes: readonly SavedVolume[] = []): Promise<void> {
    const engine = await chooseEngine(config.engine)
    await this.#serveOrForget(this.enlist(config, { isConfigured: true, engine, volumes }))
  }

  /**
   * Mounts again, as it is configured, what somebody has unmounted. Errors: not-found; exists, when
   * it is there; as `startMount`.
   */
  async mountAgain(name: string): Promise<ManagedMount> {
    const before = this.#mounts.get(name)
    const config = before?.config ?? this.config.mount.find((mount) => mount.name === name)
    if (!config) return this.find(name)
    if (before && before.keeper.state !== 'ended') {
      throw new SheepfsError('exists', `mount "${name}" is there already`)
    }
    const engine = await chooseEngine(config.engine)
    this.#mounts.delete(name)
    const mount = this.enlist(config, { isConfigured: before?.isConfigured ?? true, engine, volumes: [] })
    await this.#serveOrForget(mount)
    return mount
  }

  /** Starts a mount that is wanted at run time. Errors: as `startMount`, and those of what is wanted. */
  async addMount(input: MountInput, { waits, gone }: Caller): Promise<ManagedMount> {
    this.checkRunning()
    const engine = await chooseEngine(input.engine ?? 'auto')
    const sheep = this.config.sheep.length === 0 ? undefined : this.config.sheep
    const present = this.managed.map(({ config }) => config)
    const config = parseMount(input, { instance: this.name, sheep }, present)
    for (;;) {
      if (gone.aborted) throw new SheepfsError('closed', 'whoever asked for the mount has gone')
      const mount = this.enlist(config, { isConfigured: false, engine, volumes: [] })
      try {
        await this.#serveWhileWanted(mount, gone)
        return mount
      } catch (error) {
        const isAway = isSheepfsError(error, 'unreachable') || isSheepfsError(error, 'timeout')
        if (!isAway || !waits) throw error
        await pause(MOUNT_PAUSE_MS)
      }
    }
  }

  /** Unmounts. Errors: busy, and the mount goes on unless forced. */
  async stopMount(mount: ManagedMount, options: Force): Promise<void> {
    const dropped = options.force ? mount.devices.drop() : mount.devices.unmapAll()
    if (!options.force) await dropped
    if (!options.force) await mount.kernelKnowsSizes() // whoever tells it has a file open
    await mount.keeper.stop(options)
    if (!this.has(mount)) return
    this.#mounts.delete(mount.name)
    this.emit({ type: 'mount-removed', mount: mount.name })
    this.#changed()
  }

  /** Takes a configuration whose mounts are there already. */
  adopt(config: InstanceConfig): void {
    this.config = config
    for (const mount of config.mount) {
      const present = this.#mounts.get(mount.name)
      if (present?.isConfigured === true) present.adopt(mount) // one of this name may have been added at run time
    }
    this.#changed()
  }

  /** Puts a worker with other settings under a running mount. */
  async reconfigureMount(config: MountConfig): Promise<void> {
    const mount = this.find(config.name)
    mount.adopt(config)
    await mount.restart({ waits: false, gone: new AbortController().signal })
  }

  /** Resolves when the state that a successor reads is on disk. */
  saved(): Promise<void> {
    return this.#options.stateFile.flushed()
  }

  /** Before a device is there: udev looks for its name once. Never rejects. */
  async #tellUdev(): Promise<void> {
    const { treesFile, log } = this.#options
    try {
      await writeTrees(treesFile, await Promise.all(this.managed.map(({ devices }) => devices.tree())))
    } catch (error) {
      log.warn({ err: error }, `${treesFile} cannot be written: block devices get no lasting names`)
    }
  }

  async #serveWhileWanted(mount: ManagedMount, gone: AbortSignal): Promise<void> {
    const onGone = (): void => {
      this.stopMount(mount, { force: true }).catch(() => undefined) // why the start fails is told by the start
    }
    gone.addEventListener('abort', onGone, { once: true })
    try {
      await this.#serveOrForget(mount)
    } finally {
      gone.removeEventListener('abort', onGone)
    }
  }

  async #serveOrForget(mount: ManagedMount): Promise<void> {
    try {
      await this.serve(mount)
    } catch (error) {
      if (this.has(mount)) this.#mounts.delete(mount.name)
      this.#changed()
      throw error
    }
  }

  /** Saves what a successor of this daemon attaches again, when it has changed. */
  #changed(): void {
    const mounts = this.managed.filter(({ isConfigured }) => !isConfigured).map(({ config }) => config)
    const volumes = Object.fromEntries(this.managed.map((mount) => [mount.name, mount.addedVolumes]))
    const state = { version: STATE_VERSION, mounts, volumes, served: this.config }
    if (this.#state !== 'stopping' && !isDeepStrictEqual(state, this.#lastSaved)) {
      this.#lastSaved = state
      this.#options.stateFile.save(state)
    }
    this.#events.emit('change')
  }
}
