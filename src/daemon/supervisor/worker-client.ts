import { spawn, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { errorText, plainLine, SheepfsError } from '../../errors.ts'
import { deferred } from '../../fuse/kernel/deferred.ts'
import type { Logger } from '../../log.ts'
import type { FrameChannel } from '../ipc/frame-channel.ts'
import { CHANNEL_FD, channelToWorker } from '../ipc/worker-channel.ts'
import { programVersion } from '../../program-version.ts'
import { pause } from './pause.ts'
import { WorkerCalls } from './worker-calls.ts'
import { workerCommand } from './worker-command.ts'
import { WorkerLog } from './worker-log.ts'
import type {
  Arguments,
  CallLimits,
  FromWorker,
  MethodName,
  ToWorker,
  WorkerCall,
  WorkerMethods,
  WorkerStart,
} from '../worker-protocol.ts'

/** How often a killed process is looked at, ms: twice a zombie, it is one that cannot be reaped. */
const REAP_PAUSE_MS = 500
/** Between the end of a process and that of its channel, ms: what it has said is read, and a child of it holds up nobody. */
const LAST_WORDS_MS = 2000
/** Between the end of the channel and that of the process, ms. */
const LAST_STEPS_MS = 10_000
const STDERR_FD = 2
const PROGRAM = new URL('../worker/worker-process.js', import.meta.url)

export interface WorkerWatcher {
  /** Everything the worker tells by itself, in order. */
  onMessage(message: FromWorker): void
  /** Once, when the process is gone; `how` says of what it died. */
  onExit(how: string): void
}

/** What a worker has of its mount. */
export interface WorkerFds {
  readonly device: number | undefined
  readonly record: number | undefined
}

export interface WorkerOptions {
  readonly fds: WorkerFds
  readonly log: Logger
  readonly watcher: WorkerWatcher
  /** Another program than ours, which may send anything. */
  readonly program?: URL
}

/** One worker process, as its supervisor sees it. */
export class WorkerClient {
  readonly generation: number
  readonly startedAtMs = Date.now()
  /** Of its program: an upgrade may have replaced that since this process began. */
  readonly version = programVersion()
  readonly #startedAt = performance.now()
  /** Resolves when the process is gone, before anybody else is told. */
  readonly gone: Promise<void>
  readonly #child: ChildProcess
  /** undefined: the process could not be started. */
  readonly #channel: FrameChannel<FromWorker, ToWorker> | undefined
  readonly #calls = new WorkerCalls()
  readonly #ended = deferred<undefined>()
  readonly #watcher: WorkerWatcher
  readonly #log: Logger
  #isGone = false
  /** Why it was killed, where that is known. */
  #fault: string | undefined

  /** Starts the process, which inherits the device of the mount, where there is one, and its record. */
  constructor(start: WorkerStart, { fds, log, watcher, program = PROGRAM }: WorkerOptions) {
    this.generation = start.generation
    this.gone = this.#ended.promise
    this.#watcher = watcher
    this.#log = log
    const { program: first, args, env } = workerCommand(program, start.spec)
    this.#child = spawn(first, args, {
      env,
      stdio: ['ignore', 'ignore', 'pipe', fds.device ?? 'ignore', 'pipe', fds.record ?? 'ignore'],
    })
    this.#channel = this.#openChannel()
    this.#watchProcess()
    const stderr = this.#streams?.[STDERR_FD]
    if (stderr) new WorkerLog(this.pid, log).read(stderr)
    this.#send(start)
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  /** How long it has lived up to now, whatever was done to the clock. */
  get livedMs(): number {
    return performance.now() - this.#startedAt
  }

  /** The process has ended. */
  get isGone(): boolean {
    return this.#isGone
  }

  /** Calls the worker, for as long as it takes. Errors: what it throws; closed when it ends before the answer. */
  call<M extends MethodName>(method: M, ...args: Arguments<M>): ReturnType<WorkerMethods[M]> {
    return this.callFor({ limits: { limitMs: Infinity } }, method, ...args)
  }

  /** As `call`, for somebody who may go, or waits for the cluster only so long: then it is not done, and refused. */
  callFor<M extends MethodName>(
    { limits, gone }: { readonly limits: CallLimits; readonly gone?: AbortSignal },
    method: M,
    ...args: Arguments<M>
  ): ReturnType<WorkerMethods[M]> {
    return this.#call({ kind: 'call', method, args, limits }, gone) as ReturnType<WorkerMethods[M]>
  }

  /** Lets a process that does not serve yet end by itself: it gives back what it has locked. It takes some seconds at most. */
  abandon(): void {
    this.#send({ kind: 'abandon' })
  }

  /** No worker comes after it: should this process die before the mount has ended, it gives back what it has locked. */
  beLast(): void {
    this.#send({ kind: 'last' })
  }

  /** Whoever asks how it ended hears why. */
  blame(why: string): void {
    this.#fault ??= why
  }

  /** Ends the process now. */
  kill(): void {
    this.#child.kill('SIGKILL')
    void this.#endUnreaped()
  }

  /**
   * A thread that notifies the kernel may wait there for the answer to a request, and keep the process, dead as it is,
   * from being reaped: only its successor can give that answer (docs/fuse-kernel-protocol.md#10).
   */
  async #endUnreaped(): Promise<void> {
    for (let seen = 0; !this.#isGone;) {
      await pause(REAP_PAUSE_MS)
      seen = (await isZombie(this.pid)) ? seen + 1 : 0
      if (seen > 1) this.#end('SIGKILL, and a thread that waits in the kernel')
    }
  }

  /** After a spawn that failed for want of descriptors a process has none at all. */
  get #streams(): ChildProcess['stdio'] | undefined {
    return this.#child.stdio
  }

  #openChannel(): FrameChannel<FromWorker, ToWorker> | undefined {
    const socket = this.#streams?.[CHANNEL_FD]
    if (!socket) return undefined
    const channel = channelToWorker(socket as Duplex)
    channel.on('message', (message, bytes) => {
      if (!this.#isGone) this.#take(message, bytes)
    })
    channel.on('breach', (error) => {
      this.#breakOff(error)
    })
    channel.on('close', () => {
      setTimeout(() => {
        if (!this.#isGone) this.kill() // who cannot be reached cannot be supervised
      }, LAST_STEPS_MS).unref()
    })
    return channel
  }

  #watchProcess(): void {
    const child = this.#child
    child.once('exit', () => {
      setTimeout(() => {
        this.#channel?.destroy()
        this.#streams?.[STDERR_FD]?.destroy()
      }, LAST_WORDS_MS).unref()
    })
    // not "exit", which may come before the last messages
    child.once('close', (code, signal) => {
      const why = this.#fault === undefined ? '' : `, ${this.#fault}`
      this.#end(`${signal ?? `status ${String(code)}`}${why}`)
    })
    child.on('error', (error) => {
      this.#log.error({ err: error }, 'the worker process could not be started or reached')
      if (child.pid === undefined) this.#end(error.message)
    })
  }

  async #call(call: Omit<WorkerCall, 'id'>, gone: AbortSignal | undefined): Promise<unknown> {
    if (this.#isGone) throw new SheepfsError('closed', 'the worker has ended')
    const { id, answer } = this.#calls.open(call.method)
    const cancel = (): void => {
      this.#send({ kind: 'cancel', id })
    }
    this.#send({ ...call, id })
    if (gone?.aborted === true) cancel()
    else gone?.addEventListener('abort', cancel, { once: true })
    return answer.finally(() => gone?.removeEventListener('abort', cancel))
  }

  #send(message: ToWorker): void {
    try {
      this.#channel?.send(message)
    } catch (error) {
      this.#log.error({ err: error }, `the worker cannot be told: ${message.kind}`)
      this.kill() // it would not know what it has to
    }
  }

  /**
   * Whoever breaks the protocol may be somebody else than the program that was started: it is killed, and nothing that it says is
   * heard any more. So is who sends what cannot be dealt with.
   */
  #breakOff(error: unknown): void {
    this.blame(`for a breach of the protocol: ${plainLine(errorText(error))}`)
    this.#log.error({ worker: this.pid, err: error }, 'the worker broke the protocol of workers: it is killed')
    this.kill()
  }

  #take(message: FromWorker, bytes: number): void {
    if (message.kind === 'answer' || message.kind === 'part' || message.kind === 'refusal') {
      this.#calls.take(message, bytes)
    } else this.#watcher.onMessage(message)
  }

  #end(how: string): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#ended.resolve(undefined)
    this.#calls.end(new SheepfsError('closed', 'the worker ended before it answered'))
    this.#watcher.onExit(how)
  }
}

async function isZombie(pid: number | undefined): Promise<boolean> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '')
  return /^State:\tZ/m.test(status)
}
