import type { VolumeMetrics } from '../../api/mount-metrics.ts'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Waiter } from '../../sheep/waiter.ts'
import type { Life, LifeState } from '../mount/mount-life.ts'
import { MountPerformer } from '../mount/mount-performer.ts'
import { isHopeless } from '../mount/restart-policy.ts'
import type { MountState, WorkerMetrics, WorkerReport, WorkerSpec } from '../worker-protocol.ts'
import { type Keeping, KeptMount } from './kept-mount.ts'
import type { LeftMount } from './left-mounts.ts'
import { MountWorkers, type WorkersWatcher } from './mount-workers.ts'
import type { WorkerClient } from './worker-client.ts'

/** starting, serving, restarting: between two workers; failed: no worker can be kept; stopping; ended. */
export type KeeperState = 'starting' | 'serving' | 'restarting' | 'failed' | 'stopping' | 'ended'

export interface KeeperOptions {
  readonly log: Logger
  readonly watcher: KeeperWatcher
  readonly keeping: Keeping | undefined
  /** Mounted by a predecessor of this process. */
  readonly left: LeftMount | undefined
}

export interface KeeperWatcher extends WorkersWatcher {
  /** Another worker serves; `reason`: why its predecessor ended. */
  onWorker(reason: string): void
}

/** How a life looks from outside; those between two workers have failed when one after the other has died. */
const LOOKS = {
  idle: 'starting',
  making: 'starting',
  opening: 'starting',
  serving: 'serving',
  'handing-over': 'restarting',
  orphaned: 'restarting',
  renewing: 'restarting',
  succeeding: 'restarting',
  looking: 'restarting',
  unmounting: 'stopping',
  unmaking: 'stopping',
  closing: 'stopping',
  cutting: 'stopping',
  dropping: 'stopping',
  leaving: 'stopping',
  left: 'stopping',
  ended: 'ended',
} as const satisfies Record<LifeState, KeeperState>

function toKeeperState({ state, reason, deaths, afterDrop }: Life): KeeperState {
  if (state === 'dropping' && afterDrop !== 'ended') return afterDrop === 'idle' ? 'starting' : 'restarting'
  if (state === 'idle' && reason !== undefined) return 'failed'
  const look = LOOKS[state]
  return look === 'restarting' && isHopeless(deaths) ? 'failed' : look
}

/**
 * Keeps one mount alive, and a worker that serves it. A worker that dies or hangs is replaced under the running mount; the
 * kernel sends its unanswered requests again.
 */
export class MountKeeper {
  readonly #log: Logger
  readonly #watcher: KeeperWatcher
  readonly #workers: MountWorkers
  readonly #mount: KeptMount
  readonly #performer: MountPerformer
  #left: LeftMount | undefined
  #sinceMs = Date.now()
  #lastState: KeeperState = 'starting'

  constructor(spec: WorkerSpec, state: MountState, { log, watcher, keeping, left }: KeeperOptions) {
    this.#log = log
    this.#watcher = watcher
    this.#left = left
    this.#workers = new MountWorkers(spec, state, { log, watcher, left })
    this.#mount = new KeptMount(this.#workers, { log, keeping, left })
    this.#performer = new MountPerformer({
      name: spec.mount,
      owes: this.mountState.locks.length > 0,
      device: this.#mount,
      startServer: (purpose, tell) =>
        this.#workers.start(purpose, { ...this.#mount.fds, isKept: this.#mount.isKept }, (news) => {
          if (news.kind === 'serves') watcher.onWorker(this.#performer.life.reason ?? 'started')
          tell(news)
        }),
      pause: (ms, then) => {
        const timer = setTimeout(then, ms)
        return () => {
          clearTimeout(timer)
        }
      },
      onChange: (life) => {
        this.#changed(life)
      },
      onFlaw: (error) => {
        log.error({ err: error }, 'an error of this program; the mount goes on')
      },
    })
  }

  get spec(): WorkerSpec {
    return this.#workers.spec
  }

  set spec(spec: WorkerSpec) {
    this.#workers.spec = spec
  }

  get state(): KeeperState {
    return toKeeperState(this.#performer.life)
  }

  /** When the present state began, ms since 1970. */
  get sinceMs(): number {
    return this.waitingSinceMs ?? this.#sinceMs
  }

  /** Why it does not serve; undefined when it does. */
  get reason(): string | undefined {
    return this.#performer.life.reason ?? this.#workers.waiting?.reason
  }

  /** Since when requests wait for the cluster, or the worker does not answer. */
  get waitingSinceMs(): number | undefined {
    return this.#workers.waiting?.sinceMs
  }

  /** What the mount has come to. */
  get mountState(): MountState {
    return this.#workers.state
  }

  /** It has been mounted, whatever it does now. */
  get isStarted(): boolean {
    const { state } = this
    return state !== 'starting' && (state !== 'failed' || this.#performer.life.state !== 'idle')
  }

  /** How many times volumes are open in the kernel, also while no worker serves. */
  get openFiles(): number {
    return this.#workers.handles.size
  }

  /** Processes that have this volume open, as far as they are known. */
  openersOfVolume(name: string): readonly number[] {
    return this.#workers.openersOfVolume(name)
  }

  /** Minor number of st_dev of what is mounted; undefined where the worker mounts. */
  get minor(): number | undefined {
    return this.#mount.minor
  }

  get worker(): WorkerClient | undefined {
    return this.#workers.worker
  }

  /** False when a worker that should serve has not given a sign of life for too long. */
  get isAlive(): boolean {
    return this.state !== 'serving' || this.#workers.isAlive
  }

  /** Workers this mount has had after the first. */
  get restarts(): number {
    return this.#workers.restarts
  }

  /** A successor of this process may serve it on. */
  get isKept(): boolean {
    return this.#mount.isKept && this.#performer.life.canSucceed
  }

  /**
   * Mounts, or takes over what a predecessor has mounted, and resolves when the mount serves; otherwise it has failed, nothing is left, and it may be tried again.
   * Errors: of the mount, the cluster, volumes.
   */
  async start(): Promise<void> {
    if (this.#performer.life.state !== 'idle') {
      throw new SheepfsError('closed', `mount "${this.spec.mount}" was stopped before it served`)
    }
    const left = this.#left
    this.#left = undefined
    await (left ? this.#performer.adopt() : this.#performer.start())
    await this.#mount.tune()
  }

  /** What the worker that serves says of the mount; undefined while there is none, or it does not answer. */
  async report(): Promise<WorkerReport | undefined> {
    return this.state === 'serving' ? this.#workers.report() : undefined
  }

  /** As `report`. */
  async metrics(): Promise<WorkerMetrics | undefined> {
    return this.state === 'serving' ? this.#workers.metrics() : undefined
  }

  /** As `report`. */
  async volumeMetrics(): Promise<readonly VolumeMetrics[] | undefined> {
    return this.state === 'serving' ? this.#workers.volumeMetrics() : undefined
  }

  /** The worker, for a call. Errors: closed while there is none. */
  requireWorker(): WorkerClient {
    const { worker, state } = this
    if (worker && state === 'serving') return worker
    throw new SheepfsError('closed', `mount "${this.spec.mount}" has no worker now: ${this.reason ?? state}`)
  }

  /** The worker that serves, also when that takes a moment. Errors: timeout; closed when there will be none. */
  async servingWorker(waiter: Waiter): Promise<WorkerClient> {
    for (let { state } = this; state === 'starting' || state === 'restarting'; state = this.state) {
      const why = this.reason ?? state
      await waiter.until(this.#performer.served()).catch((cause: unknown) => {
        throw whyNot(waiter, cause, `mount "${this.spec.mount}" has no worker now: ${this.reason ?? why}`)
      })
    }
    return this.requireWorker()
  }

  /**
   * Puts a new worker under the running mount, on purpose; it is done also when the waiter does not see the end of it. Errors:
   * not-supported (engine, kernel), closed, timeout.
   */
  async restart(waiter: Waiter): Promise<void> {
    await this.servingWorker(waiter)
    this.#checkSuccession()
    await waiter.until(this.#performer.restart()).catch((cause: unknown) => {
      const text = `no new worker serves "${this.spec.mount}" yet: it is started again and again`
      throw whyNot(waiter, cause, text)
    })
  }

  /**
   * Unmounts: what is cached is flushed, volumes are closed. Errors: busy, and the mount goes on; with `force` it ends all
   * the same, and what is open fails.
   */
  async stop(options: { readonly force: boolean }): Promise<void> {
    await this.#performer.stop(options)
  }

  /** Resolves when a successor of this process may serve the mount on; or when it has ended, where that came first. */
  async leave(): Promise<void> {
    await this.#performer.leave()
  }

  #checkSuccession(): void {
    if (this.spec.engine !== 'kernel') {
      throw new SheepfsError('not-supported', `engine ${this.spec.engine} cannot restart under a running mount`)
    }
    if (this.mountState.negotiated?.canResend === false) {
      throw new SheepfsError('not-supported', 'this kernel cannot send requests again to a new worker: Linux 6.9 can')
    }
  }

  #changed(life: Life): void {
    this.#report(life)
    if (life.state === 'idle') this.#workers.forgetWorkers()
    const { state } = this
    if (state !== this.#lastState) this.#sinceMs = Date.now()
    this.#lastState = state
    this.#watcher.onChange()
  }

  #report({ state, reason, deaths, afterDrop }: Life): void {
    const { restarts } = this
    if (state === 'orphaned') this.#log.error({ restarts, deaths }, `${reason ?? 'no worker'}; another one takes over`)
    if (state === 'dropping' && afterDrop === 'renewing') this.#log.error(reason)
    if (state === 'cutting') {
      this.#log.error('the worker did not close its volumes in time: their last flush and their locks may be missing')
    }
    if (state === 'ended' && reason !== undefined) this.#log.warn(reason)
  }
}

/** A waiter who has gone, or waited too long, hears why he waited in vain. */
function whyNot(waiter: Waiter, cause: unknown, text: string): unknown {
  if (!waiter.signal.aborted || isSheepfsError(cause, 'closed')) return cause
  return new SheepfsError('timeout', text, { cause })
}
