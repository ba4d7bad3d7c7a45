import { EventEmitter } from 'node:events'
import { isDeepStrictEqual } from 'node:util'
import { type MountMetrics } from '../api/mount-metrics.ts'
import { type ClusterInfo, type Node } from '../api/schema/cluster.ts'
import { type InstanceConfig, type MountConfig, type MountInput } from '../api/schema/config.ts'
import { type Event } from '../api/schema/event.ts'
import {
  type Cache,
  type CachePatch,
  type Mount,
  type MountPatch,
  type Sheep,
  type SheepPut,
} from '../api/schema/mount.ts'
import { type Status } from '../api/schema/status.ts'
import { type CloneCreate, type Resize, type SnapshotCreate, type Vdi, type VdiCreate } from '../api/schema/vdi.ts'
import { type Volume, type VolumePut } from '../api/schema/volume.ts'
import { type Force, type Supervisor } from '../api/supervisor.ts'
import { SheepfsError } from '../errors.ts'
import { type EngineName } from '../fuse/engine.ts'
import { type Logger, type LogLevel } from '../log.ts'
import { parseAddress } from '../sheep/address.ts'
import { parseVolumeName } from '../tree/volume-name.ts'
import { chooseEngine } from './choose-engine.ts'
import { parseMount } from './config.ts'
import { ManagedMount, toTimeoutMs } from './managed-mount.ts'
import { type SavedState, type SavedStateFile } from './saved-state.ts'
import { type WorkerClient } from './worker-client.ts'

export interface InstanceOptions {
  readonly name: string
  readonly version: string
  readonly configFile: string | null
  readonly config: InstanceConfig
  readonly saved: SavedState
  readonly stateFile: SavedStateFile
  readonly workerUser: string | undefined
  readonly logLevel: LogLevel
  readonly log: Logger
}

/** The mounts of one daemon, and what can be done with them: what the control API and the life cycle drive. */
export class Instance implements Supervisor {
  readonly #options: InstanceOptions
  readonly #log: Logger
  readonly #mounts = new Map<string, ManagedMount>()
  readonly #events = new EventEmitter<{ event: [Event]; change: [] }>().setMaxListeners(0)
  readonly #startedAt = new Date().toISOString()
  #state: Status['state'] = 'starting'
  #lastSaved: SavedState | undefined
  config: InstanceConfig

  constructor(options: InstanceOptions) {
    this.#options = options
    this.#log = options.log
    this.config = options.config
  }

  get name(): string {
    return this.#options.name
  }

  /** Resolves when the state that a successor reads is on disk. */
  saved(): Promise<void> {
    return this.#options.stateFile.flushed()
  }

  /** Takes a configuration whose mounts are there already. */
  adopt(config: InstanceConfig): void {
    this.config = config
    for (const mount of config.mount) this.#mounts.get(mount.name)?.adopt(mount)
    this.#changed()
  }

  /** Puts a worker with other settings under a running mount. */
  async reconfigureMount(config: MountConfig): Promise<void> {
    const mount = this.#find(config.name)
    mount.adopt(config)
    await mount.keeper.restart()
  }

  /** Calls `listener` when something has changed that STATUS or the saved state tell of. */
  onChange(listener: () => void): void {
    this.#events.on('change', listener)
  }

  get managed(): readonly ManagedMount[] {
    return [...this.#mounts.values()]
  }

  set state(state: Status['state']) {
    this.#state = state
    if (state === 'stopping') this.emit({ type: 'stopping' })
    this.#events.emit('change')
  }

  get state(): Status['state'] {
    return this.#state
  }

  emit(event: Omit<Event, 'time'>): void {
    this.#events.emit('event', { ...event, time: new Date().toISOString() })
  }

  /** The mounts of the configuration, and those that a predecessor was given at run time. */
  wantedMounts(): { config: MountConfig; isConfigured: boolean }[] {
    const configured = this.config.mount.map((config) => ({ config, isConfigured: true }))
    const names = new Set(this.config.mount.map(({ name }) => name))
    const added = this.#options.saved.mounts.filter(({ name }) => !names.has(name))
    return [...configured, ...added.map((config) => ({ config, isConfigured: false }))]
  }

  /** Starts a mount; resolves when it serves. Errors: why it does not; it is not there then. */
  async startMount(config: MountConfig, { isConfigured }: { isConfigured: boolean }): Promise<ManagedMount> {
    const engine = await chooseEngine(config.engine)
    const mount = this.enlist(config, { isConfigured, engine })
    await this.#serveOrForget(mount)
    return mount
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

  /** Adds a mount that does not serve yet. Errors: exists. */
  enlist(config: MountConfig, { isConfigured, engine }: { isConfigured: boolean; engine: EngineName }): ManagedMount {
    if (this.#mounts.has(config.name)) throw new SheepfsError('exists', `mount "${config.name}" is there already`)
    const { workerUser, logLevel, saved } = this.#options
    const mount = new ManagedMount({
      config,
      engine,
      isConfigured,
      volumes: saved.volumes[config.name] ?? [],
      workerUser,
      logLevel,
      log: this.#log,
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

  /** Resolves when the mount serves. Errors: why it does not; it is shown as failed then, and may be tried again. */
  async serve(mount: ManagedMount): Promise<void> {
    await mount.keeper.start()
    this.emit({ type: 'mount-added', mount: mount.name })
    this.#changed()
  }

  /** False when it was removed meanwhile. */
  has(mount: ManagedMount): boolean {
    return this.#mounts.get(mount.name) === mount
  }

  /** Unmounts. Errors: busy, and the mount goes on unless forced. */
  async stopMount(mount: ManagedMount, options: Force): Promise<void> {
    await mount.keeper.stop(options)
    if (!this.has(mount)) return
    this.#mounts.delete(mount.name)
    this.emit({ type: 'mount-removed', mount: mount.name })
    this.#changed()
  }

  async status(): Promise<Status> {
    const { name, version, configFile } = this.#options
    return {
      instance: name,
      version,
      state: this.#state,
      pid: process.pid,
      started_at: this.#startedAt,
      memory: process.memoryUsage.rss(),
      config_file: configFile,
      mounts: await this.mounts(),
    }
  }

  metrics(): Promise<readonly MountMetrics[]> {
    return Promise.all(this.managed.map((mount) => mount.metrics()))
  }

  subscribe(listener: (event: Event) => void): () => void {
    this.#events.on('event', listener)
    return () => this.#events.off('event', listener)
  }

  mounts(): Promise<Mount[]> {
    return Promise.all(this.managed.map((mount) => mount.present()))
  }

  async mount(name: string): Promise<Mount> {
    return this.#find(name).present()
  }

  async addMount(input: MountInput): Promise<Mount> {
    this.#checkRunning()
    const { sheep } = this.config
    const context = { instance: this.#options.name, sheep: sheep.length === 0 ? undefined : sheep }
    const engine = await chooseEngine(input.engine ?? 'auto')
    const present = this.managed.map(({ config }) => config)
    const mount = this.enlist(parseMount(input, context, present), { isConfigured: false, engine })
    await this.#serveOrForget(mount)
    return mount.present()
  }

  async removeMount(name: string, options: Force): Promise<void> {
    await this.stopMount(this.#find(name), options)
  }

  async patchMount(name: string, patch: MountPatch): Promise<Mount> {
    const mount = this.#find(name)
    await mount.keeper.requireWorker().call('setIoTimeout', toTimeoutMs(patch.io_timeout))
    this.emit({ type: 'io-timeout-changed', mount: name })
    return mount.present()
  }

  async restartMount(name: string): Promise<Mount> {
    const mount = this.#find(name)
    await mount.keeper.restart()
    return mount.present()
  }

  async volumes(name: string): Promise<Volume[]> {
    const mount = this.#find(name)
    const volumes = await mount.keeper.requireWorker().call('volumes')
    return volumes.map((volume) => mount.markConfigured(volume))
  }

  async volume(name: string, volume: string): Promise<Volume> {
    const canonical = parseVolumeName(volume).text
    const found = (await this.volumes(name)).find((attached) => attached.name === canonical)
    if (!found) throw new SheepfsError('not-found', `volume "${canonical}" is not attached to mount "${name}"`)
    return found
  }

  async attach(name: string, volume: string, options: VolumePut): Promise<{ volume: Volume; isNew: boolean }> {
    this.#checkRunning()
    const mount = this.#find(name)
    const attached = await mount.keeper.requireWorker().call('attach', volume, options)
    if (attached.isNew) this.emit({ type: 'volume-attached', mount: name, volume: attached.volume.name })
    return { ...attached, volume: mount.markConfigured(attached.volume) }
  }

  async detach(name: string, volume: string, options: Force): Promise<void> {
    const canonical = parseVolumeName(volume).text
    await this.#worker(name).call('detach', canonical, options)
    this.emit({ type: 'volume-detached', mount: name, volume: canonical })
  }

  async cache(name: string): Promise<Cache> {
    return this.#presentCache(this.#find(name))
  }

  async patchCache(name: string, patch: CachePatch): Promise<Cache> {
    const mount = this.#find(name)
    await mount.keeper.requireWorker().call('setCache', {
      ...(patch.page_cache === undefined ? {} : { pageCache: patch.page_cache }),
      ...(patch.object_cache === undefined ? {} : { objectCache: patch.object_cache }),
    })
    this.emit({ type: 'cache-changed', mount: name })
    return this.#presentCache(mount)
  }

  async sheep(name: string): Promise<Sheep> {
    const mount = await this.#find(name).present()
    return { addresses: mount.sheep, gateway: mount.gateway }
  }

  async putSheep(name: string, put: SheepPut): Promise<Sheep> {
    const addresses = put.addresses.map((text) => parseAddress(text))
    await this.#worker(name).call('setAddresses', addresses)
    this.emit({ type: 'sheep-changed', mount: name })
    return this.sheep(name)
  }

  async cluster(name: string): Promise<ClusterInfo> {
    return this.#worker(name).call('cluster')
  }

  async nodes(name: string): Promise<Node[]> {
    return this.#worker(name).call('nodes')
  }

  async vdis(name: string): Promise<Vdi[]> {
    return this.#worker(name).call('vdis')
  }

  async createVdi(name: string, body: VdiCreate): Promise<Vdi> {
    const vdi = await this.#worker(name).call('createVdi', body)
    this.emit({ type: 'vdi-created', mount: name, vdi: vdi.name })
    return vdi
  }

  async deleteVdi(name: string, vdi: string): Promise<void> {
    await this.#worker(name).call('deleteVdi', vdi)
    this.emit({ type: 'vdi-deleted', mount: name, vdi })
  }

  async snapshotVdi(name: string, vdi: string, body: SnapshotCreate): Promise<Vdi> {
    const snapshot = await this.#worker(name).call('snapshotVdi', vdi, body)
    this.emit({ type: 'vdi-snapshot', mount: name, vdi })
    return snapshot
  }

  async cloneVdi(name: string, vdi: string, body: CloneCreate): Promise<Vdi> {
    const clone = await this.#worker(name).call('cloneVdi', vdi, body)
    this.emit({ type: 'vdi-created', mount: name, vdi: clone.name })
    return clone
  }

  async resizeVdi(name: string, vdi: string, body: Resize): Promise<Vdi> {
    const resized = await this.#worker(name).call('resizeVdi', vdi, body)
    await this.#find(name).kernelKnowsSizes()
    this.emit({ type: 'vdi-resized', mount: name, vdi })
    return resized
  }

  async #presentCache(mount: ManagedMount): Promise<Cache> {
    const { pageCache, objectCache } = mount.keeper.mountState
    return {
      page_cache: pageCache,
      object_cache: objectCache,
      write_back: mount.config.write_back,
      open_files_in_old_mode: await mount.keeper.requireWorker().call('openInOldMode'),
    }
  }

  #find(name: string): ManagedMount {
    const mount = this.#mounts.get(name)
    if (mount) return mount
    const names = [...this.#mounts.keys()].map((known) => `"${known}"`).join(', ')
    throw new SheepfsError('not-found', `no mount "${name}": there ${names === '' ? 'is none' : `are ${names}`}`)
  }

  #worker(name: string): WorkerClient {
    return this.#find(name).keeper.requireWorker()
  }

  #checkRunning(): void {
    if (this.#state === 'stopping') throw new SheepfsError('closed', 'the instance is stopping')
  }

  /** Saves what a successor of this daemon attaches again, when it has changed. */
  #changed(): void {
    const mounts = this.managed.filter(({ isConfigured }) => !isConfigured).map(({ config }) => config)
    const volumes = Object.fromEntries(this.managed.map((mount) => [mount.name, mount.addedVolumes]))
    const state = { mounts, volumes }
    if (this.#state !== 'stopping' && !isDeepStrictEqual(state, this.#lastSaved)) {
      this.#lastSaved = state
      this.#options.stateFile.save(state)
    }
    this.#events.emit('change')
  }
}
