import { SheepfsError, errorText, isSheepfsError } from '../../errors.ts'
import { deferred, type Deferred } from '../../fuse/kernel/deferred.ts'
import type { Logger } from '../../log.ts'
import type { Waiter } from '../../sheep/waiter.ts'
import type { AttachmentEvent } from '../../tree/attachments.ts'
import { awaitClosed } from './end-mount.ts'
import { KeptMount } from './kept-mount.ts'
import { pause } from './pause.ts'
import { RestartPolicy } from './restart-policy.ts'
import { fromWireError } from '../wire-error.ts'
import { WorkerClient } from './worker-client.ts'
import { WorkerPulse } from './worker-pulse.ts'
import type { FromWorker, MountState, MovedTimes, Progress, WorkerSpec } from '../worker-protocol.ts'

/** starting, serving, restarting: between two workers; failed: no worker can be kept; stopping; ended. */
export type KeeperState = 'starting' | 'serving' | 'restarting' | 'failed' | 'stopping' | 'ended'

export interface KeeperWatcher {
  /** The mount's state or what it has come to has changed. */
  onChange(): void
  /** Another worker serves; `reason`: why its predecessor ended. */
  onWorker(reason: string): void
  onProgress(progress: Progress): void
  onAttachment(event: AttachmentEvent): void
  /** The kernel does not know yet that a volume has another size. */
  onGrown(volume: string, size: number): void
  onTimes(volumes: readonly MovedTimes[]): void
}

/** How long requests in flight may hold up a planned restart; the kernel sends the rest to the successor. */
const HAND_OVER_LIMIT_MS = 5000

/**
 * Keeps one mount alive, and a worker that serves it. A worker that dies or hangs is replaced under the running mount; the
 * kernel sends its unanswered requests again.
 */
export class MountKeeper {
  /** What the next worker is to serve; what is fixed while mounted must stay. */
  spec: WorkerSpec
  readonly #log: Logger
  readonly #watcher: KeeperWatcher
  readonly #pulse: WorkerPulse
  readonly #policy = new RestartPolicy()
  readonly #mount: KeptMount
  #mountState: MountState
  #worker: WorkerClient | undefined
  #state: KeeperState = 'starting'
  #sinceMs = Date.now()
  #reason: string | undefined
  #generation = 0
  #waiting: { readonly sinceMs: number; readonly reason: string } | undefined
  #restartTimer: NodeJS.Timeout | undefined
  #serving: Deferred<undefined> | undefined
  /** The start or succession that was begun last. */
  #beginning: Promise<void> | undefined
  #endError: SheepfsError | undefined
  /** The present worker has said that its mount is over; without that, its end is a crash. */
  #hasEnded = false
  /** The present worker ends because it was told to. */
  #isPlanned = false
  /** What it was before it was told to stop: it may be refused. */
  #beforeStop: { readonly state: KeeperState; readonly reason: string | undefined } | undefined
  /** Stops that are under way, or have succeeded. */
  #stops = 0

  constructor(spec: WorkerSpec, state: MountState, options: { log: Logger; watcher: KeeperWatcher }) {
    this.spec = spec
    this.#mountState = state
    this.#log = options.log
    this.#watcher = options.watcher
    this.#mount = new KeptMount(options.log)
    this.#pulse = new WorkerPulse((worker, silentMs) => {
      this.#log.error({ pid: worker.pid }, `the worker has not answered for ${silentMs / 1000} s: it is stuck`)
      worker.kill()
    })
  }

  get state(): KeeperState {
    return this.#state
  }

  /** When the present state began, ms since 1970. */
  get sinceMs(): number {
    return this.#waiting?.sinceMs ?? this.#sinceMs
  }

  /** Why it does not serve; undefined when it does. */
  get reason(): string | undefined {
    return this.#reason ?? this.#waiting?.reason
  }

  /** Since when requests wait for the cluster. */
  get waitingSinceMs(): number | undefined {
    return this.#waiting?.sinceMs
  }

  /** What the mount has come to. */
  get mountState(): MountState {
    return this.#mountState
  }

  /** It has been mounted, whatever it does now. */
  get isStarted(): boolean {
    return this.#generation > 0 && this.#state !== 'starting'
  }

  /** How many times volumes are open in the kernel, also while no worker serves. */
  get openFiles(): number {
    return this.#mount.handles.size
  }

  /** Minor number of st_dev of what is mounted; undefined where the worker mounts. */
  get minor(): number | undefined {
    return this.#mount.minor
  }

  get worker(): WorkerClient | undefined {
    return this.#worker
  }

  /** False when a worker that should serve has not given a sign of life for too long. */
  get isAlive(): boolean {
    return this.#state !== 'serving' || this.#pulse.isAlive
  }

  get #isOver(): boolean {
    return this.#state === 'stopping' || this.#state === 'ended'
  }

  /** Workers this mount has had after the first. */
  get restarts(): number {
    return Math.max(0, this.#generation - 1)
  }

  /**
   * Mounts, and resolves when the mount serves; otherwise it has failed, nothing is left, and it may be tried again.
   * Errors: of the mount, the cluster, volumes.
   */
  start(): Promise<void> {
    this.#beginning = this.#begin()
    return this.#beginning
  }

  async #begin(): Promise<void> {
    this.#checkGoesOn()
    this.#setState('starting', undefined)
    try {
      await this.#mount.make(this.spec)
      this.#checkGoesOn()
      await this.#startWorker()
      await this.#mount.tune()
    } catch (error) {
      if (!this.#isOver) this.#setState('failed', errorText(error))
      this.#worker?.kill()
      this.#worker = undefined // it has no successor
      this.#endError = undefined
      this.#generation = 0
      await this.#mount.drop()
      throw error
    }
  }

  #checkGoesOn(): void {
    if (this.#isOver) throw new SheepfsError('closed', 'the mount was stopped before it served')
  }

  /** The worker, for a call. Errors: closed while there is none. */
  requireWorker(): WorkerClient {
    if (this.#worker && this.#state === 'serving') return this.#worker
    throw new SheepfsError('closed', `mount "${this.spec.mount}" has no worker now: ${this.#reason ?? this.#state}`)
  }

  /** The worker that serves, also when that takes a moment. Errors: timeout; closed when there will be none. */
  async servingWorker(waiter: Waiter): Promise<WorkerClient> {
    while (this.#state === 'starting' || this.#state === 'restarting') {
      const [state, reason] = [this.#state, this.#reason]
      await waiter.until(this.#nextServing()).catch((cause: unknown) => {
        if (!waiter.signal.aborted || isSheepfsError(cause, 'closed')) throw cause
        const why = this.#waiting?.reason ?? reason ?? state
        throw new SheepfsError('timeout', `mount "${this.spec.mount}" has no worker now: ${why}`, { cause })
      })
    }
    return this.requireWorker()
  }

  /**
   * Puts a new worker under the running mount, on purpose; it is done also when the waiter does not see the end of it. Errors:
   * not-supported (engine, kernel), closed, timeout.
   */
  async restart(waiter: Waiter): Promise<void> {
    const worker = await this.servingWorker(waiter)
    this.#checkSuccession()
    this.#setState('restarting', 'restarted on demand')
    this.#policy.forget()
    this.#isPlanned = true
    const serving = this.#nextServing()
    await Promise.race([worker.call('handOver').catch(() => undefined), pause(HAND_OVER_LIMIT_MS)])
    worker.kill()
    await waiter.until(serving).catch((cause: unknown) => {
      if (!waiter.signal.aborted || isSheepfsError(cause, 'closed')) throw cause
      const text = `no new worker serves "${this.spec.mount}" yet: it is started again and again`
      throw new SheepfsError('timeout', text, { cause })
    })
  }

  /**
   * Unmounts: what is cached is flushed, volumes are closed. Errors: busy, and the mount goes on; with `force` it ends all
   * the same, and what is open fails.
   */
  async stop({ force }: { force: boolean }): Promise<void> {
    if (this.#state === 'ended') return
    const previous = this.#beforeStop ?? { state: this.#state, reason: this.#reason }
    const isServed = previous.state === 'serving'
    if (!isServed && previous.state !== 'starting' && !force) this.#checkUnused()
    this.#beforeStop = previous
    this.#stops++
    this.#setState('stopping', undefined)
    clearTimeout(this.#restartTimer)
    const worker = this.#worker
    try {
      if (isServed) await this.#mount.end(worker, { force })
      else await this.#discard(previous.state)
    } catch (error) {
      if (--this.#stops === 0) this.#goOn(previous) // the last one that was refused
      throw error
    }
    if (worker) await awaitClosed(worker, { force, log: this.#log })
    this.#failStart(undefined)
    await this.#beginning?.catch(() => undefined) // what it still mounts it takes away again
    this.#setState('ended', undefined)
    await this.#mount.drop()
    if (this.#endError) throw this.#endError
  }

  /** Ends a mount that nobody serves. A first worker has locks that no other knows of. */
  async #discard(state: KeeperState): Promise<void> {
    await this.#mount.abort()
    if (state === 'starting') this.#worker?.abandon()
    else this.#worker?.kill()
    await this.#mount.sweep(this.spec)
  }

  /** A stop was refused: the mount is kept as before, also when its worker has gone meanwhile. */
  #goOn(previous: { state: KeeperState; reason: string | undefined }): void {
    this.#beforeStop = undefined
    if (this.#worker || previous.state === 'starting') {
      this.#setState(previous.state, previous.reason)
      return
    }
    this.#setState('restarting', previous.reason ?? 'the worker ended while the mount could not be stopped')
    this.#restartLater(0)
  }

  /** Unmounting waits for answers that nobody gives while no worker serves. */
  #checkUnused(): void {
    if (this.#mount.deviceFd === undefined) return
    const why = this.#reason === undefined ? '' : `: ${this.#reason}`
    throw new SheepfsError('busy', `mount "${this.spec.mount}" has no worker now${why}; what it has not flushed waits`)
  }

  #startWorker(): Promise<void> {
    const serving = this.#nextServing()
    this.#generation++
    const [spec, state, generation] = [this.spec, this.#mountState, this.#generation]
    const start = { kind: 'start', spec, state, handles: [...this.#mount.handles.values()], generation } as const
    const worker: WorkerClient = new WorkerClient(start, {
      deviceFd: this.#mount.deviceFd,
      log: this.#log,
      watcher: {
        onMessage: (message) => {
          this.#hear(worker, message)
        },
        onExit: (how) => {
          this.#mourn(worker, how)
        },
      },
    })
    this.#worker = worker
    this.#hasEnded = false
    this.#endError = undefined
    this.#isPlanned = false
    return serving
  }

  /** When the next worker serves. Those who restart and the start itself wait for the same one. */
  #nextServing(): Promise<void> {
    this.#serving ??= deferred<undefined>()
    return this.#serving.promise
  }

  #hear(worker: WorkerClient, message: FromWorker): void {
    if (worker !== this.#worker) return
    switch (message.kind) {
      case 'serving':
        if (this.#isOver) break // told before it heard of that
        this.#watcher.onWorker(this.#reason ?? 'started')
        this.#setState('serving', undefined)
        this.#pulse.start(worker)
        this.#serving?.resolve(undefined)
        this.#serving = undefined
        break
      case 'state':
        this.#mountState = message.state
        this.#watcher.onChange()
        break
      case 'opened':
        this.#mount.handles.set(message.handle.fh, message.handle)
        break
      case 'closed':
        this.#mount.handles.delete(message.fh)
        break
      case 'progress':
        this.#watcher.onProgress(message.progress)
        break
      case 'attachment':
        this.#watcher.onAttachment(message.event)
        break
      case 'grown':
        this.#watcher.onGrown(message.volume, message.size)
        break
      case 'times':
        this.#mountState = withTimes(this.#mountState, message.volumes)
        this.#watcher.onTimes(message.volumes)
        break
      case 'waiting':
        this.#waiting = message.sinceMs === undefined ? undefined : { sinceMs: message.sinceMs, reason: message.reason }
        this.#watcher.onChange()
        break
      case 'ended':
        this.#hasEnded = message.error === undefined
        this.#endError = message.error && fromWireError(message.error)
        if (this.#state === 'starting') this.#failStart(this.#endError)
        break
      case 'answer':
      case 'refusal':
        break // WorkerClient keeps these
    }
  }

  #failStart(error: SheepfsError | undefined): void {
    this.#serving?.reject(error ?? new SheepfsError('closed', 'the mount ended before it served'))
    this.#serving = undefined
  }

  /** A worker is gone: expected, or to be replaced. */
  #mourn(worker: WorkerClient, how: string): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    this.#waiting = undefined
    this.#pulse.stop()
    if (this.#state === 'starting') {
      this.#failStart(this.#endError ?? new SheepfsError('io', `the worker ended with ${how}`))
      return
    }
    if (this.#isOver) {
      this.#failStart(new SheepfsError('closed', 'the mount was stopped before it served'))
      return
    }
    this.#replace(worker, how).catch((error: unknown) => {
      this.#log.error({ err: error }, 'what has become of the mount cannot be told')
      if (this.#isOver) return
      this.#setState('failed', errorText(error))
      this.#restartLater(this.#policy.longestPauseMs)
    })
  }

  async #replace(worker: WorkerClient, how: string): Promise<void> {
    if (this.#isPlanned) {
      this.#restartLater(0)
      return
    }
    if (this.#hasEnded) {
      await this.#afterEnd()
      return
    }
    this.#policy.noteDeath(worker.livedMs)
    const { pauseMs, isHopeless } = this.#policy
    this.#log.error({ generation: worker.generation, how, pauseMs }, 'the worker died; another one takes over')
    this.#setState(isHopeless ? 'failed' : 'restarting', `the worker ended with ${how}`)
    this.#restartLater(pauseMs)
  }

  /** The mount is over though nobody here ended it: unmounted on purpose, or aborted, and then made anew. */
  async #afterEnd(): Promise<void> {
    const isAborted = await this.#mount.isMounted()
    await this.#mount.drop()
    if (this.#isOver) return
    if (!isAborted) {
      this.#log.warn('unmounted from outside')
      this.#setState('ended', 'unmounted from outside')
      return
    }
    this.#log.error('the connection to the kernel was aborted from outside: the mount is made anew, open files fail')
    this.#setState('restarting', 'aborted from outside')
    this.#restartLater(0)
  }

  #restartLater(pauseMs: number): void {
    this.#restartTimer = setTimeout(() => {
      this.#beginning = this.#succeed().catch((error: unknown) => {
        if (this.#isOver) return this.#mount.drop()
        this.#log.error({ err: error }, 'a worker could not be started')
        this.#setState('failed', errorText(error))
        if (!this.#worker) this.#restartLater(this.#policy.longestPauseMs)
        return undefined
      })
    }, pauseMs)
  }

  /** Another worker takes over. */
  async #succeed(): Promise<void> {
    const isAnew = await this.#mount.passOn(this.spec, { canResend: this.#canResend() })
    if (isAnew) this.#mountState = { ...this.#mountState, negotiated: undefined }
    this.#checkGoesOn()
    await this.#startWorker()
  }

  #checkSuccession(): void {
    if (this.spec.engine !== 'kernel') {
      throw new SheepfsError('not-supported', `engine ${this.spec.engine} cannot restart under a running mount`)
    }
    if (!this.#canResend()) {
      throw new SheepfsError('not-supported', 'this kernel cannot send requests again to a new worker: Linux 6.9 can')
    }
  }

  #canResend(): boolean {
    return this.#mountState.negotiated?.canResend ?? true // before INIT there is nothing to send again
  }

  #setState(state: KeeperState, reason: string | undefined): void {
    if (this.#state !== state) this.#sinceMs = Date.now()
    this.#state = state
    this.#reason = reason
    this.#watcher.onChange()
  }
}

function withTimes(state: MountState, moved: readonly MovedTimes[]): MountState {
  const times = new Map(moved.map((volume) => [volume.nodeId, volume.times]))
  return {
    ...state,
    volumes: state.volumes.map((volume) => ({ ...volume, times: times.get(volume.nodeId) ?? volume.times })),
  }
}
