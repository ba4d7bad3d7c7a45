import type { VolumeMetrics } from '../../api/mount-metrics.ts'
import { SheepfsError } from '../../errors.ts'
import { openersOf, type OpenHandle } from '../../fuse/kernel/open-files.ts'
import type { Logger } from '../../log.ts'
import type { AttachmentEvent } from '../../tree/attachments.ts'
import type { MountServer, ServerNews } from '../mount/mount-performer.ts'
import { MOST_HANDLES, withTimes } from '../mount/mount-record.ts'
import type { RecordedMount } from '../mount/recorded-mount.ts'
import { fromWireError } from '../wire-error.ts'
import type {
  FromWorker,
  MountState,
  MovedTimes,
  Progress,
  WorkerMetrics,
  WorkerReport,
  WorkerSpec,
  WorkerStart,
} from '../worker-protocol.ts'
import { WorkerClient, type WorkerFds } from './worker-client.ts'
import { WorkerPulse } from './worker-pulse.ts'
import { WorkerQuestion, type Waiting } from './worker-question.ts'

export interface WorkersWatcher {
  /** What the mount has come to has changed. */
  onChange(): void
  onProgress(progress: Progress): void
  onAttachment(event: AttachmentEvent): void
  /** The kernel does not know yet that a volume has another size. */
  onGrown(volume: string, size: number): void
  onTimes(volumes: readonly MovedTimes[]): void
}

/** The workers of a mount, one after the other, and what each must know of those before it. */
export class MountWorkers {
  /** What the next worker is to serve; what is fixed while mounted must stay. */
  spec: WorkerSpec
  /** What the mount has come to. */
  state: MountState
  /** Volumes that the kernel has open, by fh. */
  readonly handles = new Map<number, OpenHandle>()
  readonly #log: Logger
  readonly #watcher: WorkersWatcher
  readonly #pulse: WorkerPulse
  readonly #report: WorkerQuestion<'report'>
  readonly #metrics: WorkerQuestion<'metrics'>
  readonly #volumeMetrics: WorkerQuestion<'volumeMetrics'>
  #worker: WorkerClient | undefined
  #generation = 0
  #waiting: Waiting | undefined
  #tellStuck: () => void = () => undefined

  /** `left`: by workers of a predecessor of this process. */
  constructor(
    spec: WorkerSpec,
    state: MountState,
    options: { log: Logger; watcher: WorkersWatcher; left?: RecordedMount | undefined },
  ) {
    const { left } = options
    this.spec = spec
    this.state = left?.state ?? state
    this.#generation = left?.generation ?? 0
    for (const handle of left?.handles ?? []) this.handles.set(handle.fh, handle)
    this.#log = options.log
    this.#watcher = options.watcher
    this.#pulse = new WorkerPulse((worker, why) => {
      this.#log.error({ worker: worker.pid }, `the worker is stuck: ${why}`)
      worker.blame(`because ${why}`)
      this.#tellStuck()
    })
    const onSilence = (): void => {
      this.#watcher.onChange()
    }
    this.#report = new WorkerQuestion('report', onSilence)
    this.#metrics = new WorkerQuestion('metrics', onSilence)
    this.#volumeMetrics = new WorkerQuestion('volumeMetrics', onSilence)
  }

  get worker(): WorkerClient | undefined {
    return this.#worker
  }

  /** How many workers the mount has had after the first. */
  get restarts(): number {
    return Math.max(0, this.#generation - 1)
  }

  /** Requests of the present worker wait for the cluster, or it does not answer itself. */
  get waiting(): Waiting | undefined {
    return this.#waiting ?? this.#report.silence ?? this.#metrics.silence ?? this.#volumeMetrics.silence
  }

  /** undefined: there is no worker, or it does not answer. */
  async report(): Promise<WorkerReport | undefined> {
    return this.#worker && this.#report.ask(this.#worker)
  }

  /** As `report`. */
  async metrics(): Promise<WorkerMetrics | undefined> {
    return this.#worker && this.#metrics.ask(this.#worker)
  }

  /** As `report`. */
  async volumeMetrics(): Promise<readonly VolumeMetrics[] | undefined> {
    return this.#worker && this.#volumeMetrics.ask(this.#worker)
  }

  /** False when the worker has not given a sign of life for too long. */
  get isAlive(): boolean {
    return this.#pulse.isAlive
  }

  /** Processes that have volumes open. */
  openers(): readonly number[] {
    return openersOf(this.handles)
  }

  /** Processes that have this volume open, as far as they are known. */
  openersOfVolume(name: string): readonly number[] {
    const nodes = this.state.volumes.filter((volume) => volume.name === name).map(({ nodeId }) => nodeId)
    return [...this.handles.values()].filter(({ node }) => nodes.includes(node)).map(({ pid }) => pid)
  }

  /** The mount is another one, on which nothing is open or negotiated. */
  forgetMount(): void {
    this.handles.clear()
    this.state = { ...this.state, negotiated: undefined }
  }

  /** The next worker is the first one. */
  forgetWorkers(): void {
    this.#generation = 0
  }

  /** What a worker that is started now begins with. */
  beginning(purpose: 'serve' | 'close' = 'serve'): Pick<WorkerStart, 'state' | 'handles' | 'generation'> {
    const { state, handles } = this
    // who closes is never taken for a first worker
    const generation = purpose === 'serve' ? this.#generation : this.#generation + 2
    return { state, handles: [...handles.values()], generation }
  }

  /** Starts the next worker on the device of the mount, where there is one. `isKept`: it outlives this process. */
  start(
    purpose: 'serve' | 'close',
    { isKept, ...fds }: WorkerFds & { readonly isKept: boolean },
    tell: (news: ServerNews) => void,
  ): MountServer {
    if (purpose === 'serve') this.#generation++
    const start = { kind: 'start', purpose, spec: this.spec, isKept, ...this.beginning(purpose) } as const
    let isHandedOver = false
    const worker: WorkerClient = new WorkerClient(start, {
      fds: purpose === 'serve' ? fds : { ...fds, device: undefined },
      log: this.#log,
      watcher: {
        onMessage: (message) => {
          if (worker !== this.#worker) return
          this.#pulse.hear(worker)
          const news = this.#hear(message, isHandedOver)
          if (news) tell(news)
        },
        onExit: (how) => {
          if (worker === this.#worker) this.#forget()
          tell({ kind: 'gone', how, livedMs: worker.livedMs })
        },
      },
    })
    this.#worker = worker
    this.#pulse.start(worker)
    this.#tellStuck = () => {
      tell({ kind: 'stuck' })
    }
    return {
      handOver: () => {
        isHandedOver = true
        worker.call('handOver').then(
          () => {
            worker.kill()
          },
          () => {
            worker.kill()
          },
        )
      },
      abandon: () => {
        worker.abandon()
      },
      kill: () => {
        worker.kill()
      },
    }
  }

  #forget(): void {
    this.#worker = undefined
    this.#waiting = undefined
    this.#pulse.stop()
  }

  /** Notes what a worker tells; what matters to the life of the mount is returned. */
  #hear(message: FromWorker, isHandedOver: boolean): ServerNews | undefined {
    switch (message.kind) {
      case 'serving':
        return { kind: 'serves', canResend: this.state.negotiated?.canResend ?? true }
      case 'ended':
        return { kind: 'over', isHandedOver, error: message.error && fromWireError(message.error) }
      case 'state':
        this.state = message.state
        this.#watcher.onChange()
        return undefined
      case 'opened':
        if (this.handles.size >= MOST_HANDLES)
          throw new SheepfsError('protocol', `more than ${MOST_HANDLES} open files`)
        this.handles.set(message.handle.fh, message.handle)
        return undefined
      case 'closed':
        this.handles.delete(message.fh)
        return undefined
      case 'progress':
        this.#watcher.onProgress(message.progress)
        return undefined
      case 'attachment':
        this.#watcher.onAttachment(message.event)
        return undefined
      case 'grown':
        this.#watcher.onGrown(message.volume, message.size)
        return undefined
      case 'times':
        this.state = withTimes(this.state, message.volumes)
        this.#watcher.onTimes(message.volumes)
        return undefined
      case 'waiting':
        this.#waiting = message.sinceMs === undefined ? undefined : { sinceMs: message.sinceMs, reason: message.reason }
        this.#watcher.onChange()
        return undefined
      case 'answer':
      case 'part':
      case 'refusal':
        return undefined // WorkerClient keeps these
    }
  }
}
