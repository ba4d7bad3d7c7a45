import { join } from 'node:path'
import type { MountMetrics, VolumeMetrics } from '../../api/mount-metrics.ts'
import type { Event } from '../../api/schema/event.ts'
import type { MountConfig } from '../../api/schema/config.ts'
import type { Mount } from '../../api/schema/mount.ts'
import type { Volume } from '../../api/schema/volume.ts'
import type { EngineName } from '../../fuse/engine.ts'
import { describeHolders } from '../../fuse/mount-holders.ts'
import { isWrittenBack } from '../../fuse/kernel/negotiation.ts'
import type { Logger, LogLevel } from '../../log.ts'
import type { Caller } from '../../api/supervisor.ts'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import { addressText, parseAddress } from '../../sheep/address.ts'
import { WAIT_LIMIT_MS, Waiter } from '../../sheep/waiter.ts'
import { FIRST_VOLUME_ID } from '../../tree/node-ids.ts'
import { configuredVolumes } from '../config/configured-volumes.ts'
import { KernelAttributes } from '../kernel-attributes.ts'
import { realWorld } from '../real-world.ts'
import { DeviceGrowth } from './device-growth.ts'
import { MountDevices } from './mount-devices.ts'
import type { Keeping } from './kept-mount.ts'
import type { LeftMount } from './left-mounts.ts'
import { MountKeeper } from './mount-keeper.ts'
import type { WorkerAccount } from '../config/worker-account.ts'
import type { SavedVolume } from '../config/saved-state.ts'
import type {
  Arguments,
  AttachedVolume,
  MethodName,
  MountState,
  WorkerMethods,
  WorkerMetrics,
  WorkerSpec,
} from '../worker-protocol.ts'

/** Of a mount without a worker that answers. */
const NOTHING_MEASURED: WorkerMetrics = {
  measuredAtS: 0,
  operations: [],
  openFiles: 0,
  sheepInFlight: 0,
  reconnects: 0,
  retries: 0,
  resentRequests: 0,
  waitingRequests: 0,
  workerMemory: 0,
}

const { clock } = realWorld

/** What a successor may do that its predecessor may have done already: nothing else comes of it than of doing it once. */
const AGAIN = {
  ping: true,
  report: true,
  metrics: true,
  volumeMetrics: true,
  volumes: true,
  attach: true,
  detach: true,
  setCache: true,
  openInOldMode: true,
  setAddresses: true,
  setIoTimeout: true,
  cluster: true,
  nodes: true,
  vdis: true,
  vdi: true,
  createVdi: false,
  deleteVdi: false,
  snapshotVdi: false,
  cloneVdi: false,
  rollbackVdi: false,
  resizeVdi: true,
  handOver: false,
  unmount: false,
  abort: false,
} as const satisfies Record<MethodName, boolean>

function interrupted(cause: unknown): SheepfsError {
  const text = 'the worker died in the middle of it; it may have been done: look with "sheepfsctl vdi list"'
  return new SheepfsError('io', text, { cause })
}

export interface ManagedMountOptions {
  readonly instance: string
  readonly config: MountConfig
  readonly engine: EngineName
  /** In the configuration file, not added at run time. */
  readonly isConfigured: boolean
  /** Attached by the predecessor of this daemon. */
  readonly volumes: readonly SavedVolume[]
  readonly keeping: Keeping | undefined
  /** Mounted by the predecessor of this daemon, and to be served on. */
  readonly left?: LeftMount | undefined
  readonly workerAccount: WorkerAccount | undefined
  readonly logLevel: LogLevel
  readonly log: Logger
  readonly emit: (event: Omit<Event, 'time'>) => void
  readonly onChange: () => void
}

/** One mount of an instance: its configuration, what it has got at run time, and who keeps it alive. */
export class ManagedMount {
  readonly keeper: MountKeeper
  readonly devices: MountDevices
  readonly deviceGrowth: DeviceGrowth
  readonly #options: ManagedMountOptions
  readonly #kernel: KernelAttributes
  config: MountConfig
  isConfigured: boolean
  #lastState: Mount['state'] | undefined

  constructor(options: ManagedMountOptions) {
    this.config = options.config
    this.isConfigured = options.isConfigured
    this.#options = options
    const log = options.log.child({ mount: options.config.name })
    this.devices = new MountDevices(this, log)
    this.deviceGrowth = new DeviceGrowth(this, log)
    this.#kernel = new KernelAttributes(() => ({ mountpoint: this.config.mountpoint, minor: this.keeper.minor }), log)
    this.keeper = new MountKeeper(toSpec(options), initialState(options), {
      log,
      keeping: options.keeping,
      left: options.left,
      watcher: {
        onChange: () => {
          this.#tell()
        },
        onWorker: (reason) => {
          options.emit({ type: 'worker-started', mount: this.name, generation: this.keeper.restarts + 1, reason })
        },
        onProgress: (progress) => {
          options.emit({ type: 'progress', mount: this.name, ...progress })
        },
        onAttachment: ({ kind, ...what }) => {
          options.emit({ type: `volume-${kind}`, mount: this.name, ...what })
        },
        onGrown: (volume, size) => {
          if (!this.#has(volume)) return
          if (this.writeBack) this.#kernel.setSize(volume, size)
          void this.deviceGrowth.grow(volume, size)
        },
        onTimes: (volumes) => {
          for (const { name, untoldMs } of this.writeBack ? volumes : []) {
            if (untoldMs !== undefined && this.#has(name)) this.#kernel.setModified(name, untoldMs)
          }
        },
      },
    })
  }

  get name(): string {
    return this.config.name
  }

  get instance(): string {
    return this.#options.instance
  }

  /** Whether the page cache, where it is on, writes back: settled when it was mounted, whatever was switched since. */
  get writeBack(): boolean {
    const { spec, mountState } = this.keeper
    return mountState.negotiated === undefined ? spec.writeBack : isWrittenBack(mountState.negotiated)
  }

  /** Takes other settings; those of the worker hold from its next start. */
  adopt(config: MountConfig): void {
    this.config = config
    this.isConfigured = true
    this.keeper.spec = toSpec({ ...this.#options, config })
  }

  /**
   * Has the worker do something for a caller; while there is none, a successor is waited for. What a worker was doing when it
   * died is done by its successor where that may be. Errors: those of the method, timeout when no worker serves in time.
   */
  async ask<M extends MethodName>(
    { waits, gone }: Caller,
    method: M,
    ...args: Arguments<M>
  ): Promise<Awaited<ReturnType<WorkerMethods[M]>>> {
    const limitMs = waits ? Infinity : WAIT_LIMIT_MS
    const since = clock.now()
    for (let isAgain = false; ; isAgain = true) {
      const leftMs = Math.max(0, limitMs - (clock.now() - since))
      const waiter = new Waiter({ clock, limitMs, firstLimitMs: leftMs, gone })
      const worker = await this.keeper.servingWorker(waiter).finally(() => {
        waiter.end()
      })
      const firstLimitMs = Math.max(0, limitMs - (clock.now() - since))
      try {
        return await worker.callFor({ limits: { limitMs, firstLimitMs }, gone }, method, ...args)
      } catch (error) {
        if (isAgain && method === 'detach' && isSheepfsError(error, 'not-found')) return undefined as never
        if (!worker.isGone || !isSheepfsError(error, 'closed')) throw error
        if (!AGAIN[method]) throw interrupted(error)
      }
    }
  }

  /** Also of a successor that does not serve yet. Errors: as `ask`. */
  async setIoTimeout(caller: Caller, timeoutMs: number): Promise<void> {
    const { worker, state } = this.keeper
    if (worker && state === 'restarting') {
      const limits = { limitMs: WAIT_LIMIT_MS }
      const isSet = await worker.callFor({ limits, gone: caller.gone }, 'setIoTimeout', timeoutMs).then(
        () => true,
        () => false,
      )
      if (isSet) return
    }
    await this.ask(caller, 'setIoTimeout', timeoutMs)
  }

  /** Puts another worker under the mount. Errors: as `MountKeeper.restart`. */
  async restart({ waits, gone }: Caller): Promise<void> {
    const waiter = new Waiter({ clock, limitMs: waits ? Infinity : WAIT_LIMIT_MS, gone })
    await this.keeper.restart(waiter).finally(() => {
      waiter.end()
    })
  }

  /** Resolves when the kernel knows the sizes of all volumes, as far as this process was told of them. */
  kernelKnowsSizes(): Promise<void> {
    return this.#kernel.whenTold()
  }

  /** What the control API says of its state. */
  get state(): Mount['state'] {
    const { state, waitingSinceMs } = this.keeper
    if (state === 'serving') return waitingSinceMs === undefined ? 'serving' : 'waiting'
    return state === 'ended' ? 'failed' : state
  }

  /** Volumes that were attached at run time. */
  get addedVolumes(): readonly SavedVolume[] {
    const configured = this.#configuredVolumes()
    return this.keeper.mountState.volumes
      .filter(({ name }) => !configured.has(name))
      .map(({ name, readOnly, isTemporary = false }) => ({ name, readOnly, isTemporary }))
  }

  /** As `presentVolume` has it, with what only the configuration knows; where its file is, a worker does not decide. */
  markConfigured(volume: Volume): Volume {
    return { ...volume, path: this.pathOf(volume.name), configured: this.#configuredVolumes().has(volume.name) }
  }

  /** Who has a volume open, as far as that can be seen, for a message; else "". */
  holdersOf(volume: string): Promise<string> {
    return describeHolders(this.pathOf(volume), this.keeper.openersOfVolume(volume))
  }

  /** Of the file of a volume. */
  pathOf(volume: string): string {
    return join(this.config.mountpoint, 'volume', volume)
  }

  async present(): Promise<Mount> {
    const { keeper, config } = this
    const report = await keeper.report()
    const { mountState, worker } = keeper
    return {
      name: this.name,
      mountpoint: config.mountpoint,
      engine: this.#options.engine,
      state: this.state,
      reason: keeper.reason ?? this.devices.lack ?? null,
      since: new Date(keeper.sinceMs).toISOString(),
      worker:
        worker?.pid === undefined
          ? null
          : {
              pid: worker.pid,
              generation: worker.generation,
              started_at: new Date(worker.startedAtMs).toISOString(),
              version: worker.version,
            },
      open_files: report?.openFiles ?? keeper.openFiles,
      volumes: mountState.volumes.map(({ name }) => name),
      sheep: mountState.addresses.map(addressText),
      gateway: report?.gateway ? addressText(report.gateway) : null,
      page_cache: mountState.pageCache,
      object_cache: mountState.objectCache,
      write_back: this.writeBack,
      io_timeout: mountState.ioTimeoutMs === Infinity ? 'forever' : mountState.ioTimeoutMs / 1000,
      configured: this.isConfigured,
    }
  }

  /** Counters of the worker start at 0 with each. */
  async metrics(): Promise<MountMetrics> {
    const { keeper } = this
    const [measured, perVolume = []] = await Promise.all([keeper.metrics(), keeper.volumeMetrics()])
    const { mountState, restarts, waitingSinceMs } = keeper
    return {
      ...(measured ?? { ...NOTHING_MEASURED, openFiles: keeper.openFiles }),
      mount: this.name,
      state: this.state,
      volumes: mountState.volumes.length,
      perVolume: attachedOnly(perVolume, mountState.volumes),
      pageCache: mountState.pageCache,
      objectCache: mountState.objectCache,
      writeBack: this.writeBack,
      workerRestarts: restarts,
      workerVersion: keeper.worker?.version,
      waitingSinceMs,
    }
  }

  #has(volume: string): boolean {
    return this.keeper.mountState.volumes.some(({ name }) => name === volume)
  }

  #configuredVolumes(): Set<string> {
    return new Set(configuredVolumes(this.config))
  }

  #tell(): void {
    if (this.keeper.state === 'ended') this.#kernel.stop()
    this.#options.onChange()
    const { state } = this
    if (state === this.#lastState) return
    this.#lastState = state
    const { reason } = this.keeper
    this.#options.emit({ type: 'mount-state', mount: this.name, state, ...(reason === undefined ? {} : { reason }) })
  }
}

/** Of each volume once: series that come twice spoil all metrics of the instance. */
function attachedOnly(measured: readonly VolumeMetrics[], attached: readonly AttachedVolume[]): VolumeMetrics[] {
  const byName = new Map(measured.map((metrics) => [metrics.volume, metrics]))
  return attached.flatMap(({ name }) => byName.get(name) ?? [])
}

/** Milliseconds; Infinity for "forever". */
export function toTimeoutMs(ioTimeout: MountConfig['io_timeout']): number {
  return ioTimeout === 'forever' ? Infinity : ioTimeout * 1000
}

export function toSpec({
  config,
  engine,
  workerAccount,
  logLevel,
}: Pick<ManagedMountOptions, 'config' | 'engine' | 'workerAccount' | 'logLevel'>): WorkerSpec {
  return {
    mount: config.name,
    engine,
    mountpoint: config.mountpoint,
    allowOther: config.allow_other,
    writeBack: engine === 'kernel' && config.page_cache && config.write_back,
    uid: config.uid,
    gid: config.gid,
    volumeMode: parseInt(config.mode, 8),
    networks: config.networks,
    logLevel,
    account: workerAccount,
  }
}

function initialState({ config, volumes }: ManagedMountOptions): MountState {
  const wanted = new Map<string, AttachedVolume>()
  const fromFile = configuredVolumes(config).map((name) => ({ name, readOnly: false }))
  const added = volumes.map((volume) => ({ ...volume, isOptional: true }))
  for (const volume of [...fromFile, ...added]) {
    if (!wanted.has(volume.name)) wanted.set(volume.name, { ...volume, nodeId: FIRST_VOLUME_ID + wanted.size })
  }
  return {
    negotiated: undefined,
    volumes: [...wanted.values()],
    nextNodeId: FIRST_VOLUME_ID + wanted.size,
    pageCache: config.page_cache,
    objectCache: config.object_cache,
    addresses: config.sheep.map((text) => parseAddress(text)),
    ioTimeoutMs: toTimeoutMs(config.io_timeout),
    gateways: [],
    locks: [],
  }
}
