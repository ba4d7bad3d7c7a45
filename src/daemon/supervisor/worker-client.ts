import { fork, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { errorText, SheepfsError } from '../../errors.ts'
import { deferred } from '../../fuse/kernel/deferred.ts'
import type { Logger } from '../../log.ts'
import type { Shape } from '../ipc/shape.ts'
import { ANSWERS, readFromWorker } from '../ipc/worker-messages.ts'
import { programVersion } from '../program-version.ts'
import { fromWireError } from '../wire-error.ts'
import { pause } from './pause.ts'
import type {
  Arguments,
  CallLimits,
  FromWorker,
  MethodName,
  ToWorker,
  WorkerMethods,
  WorkerStart,
} from '../worker-protocol.ts'

/** How often a killed process is looked at, ms: twice a zombie, it is one that cannot be reaped. */
const REAP_PAUSE_MS = 500
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

interface PendingCall {
  readonly shape: Shape<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: SheepfsError) => void
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
  /** Calls without an answer; an entry leaves once, by an answer or by the end of the process. */
  readonly #calls = new Map<number, PendingCall>()
  readonly #ended = deferred<undefined>()
  readonly #watcher: WorkerWatcher
  #nextCall = 1
  #isGone = false
  /** How it broke the protocol. */
  #breach: string | undefined

  /** Starts the process, which inherits the device of the mount, where there is one, and its record. */
  constructor(start: WorkerStart, options: WorkerOptions) {
    const { fds, log, watcher, program = PROGRAM } = options
    this.generation = start.generation
    this.gone = this.#ended.promise
    this.#watcher = watcher
    const { mount, mountpoint } = start.spec
    this.#child = fork(program, [mount, mountpoint], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', fds.device ?? 'ignore', 'ipc', fds.record ?? 'ignore'],
    })
    this.#child.on('message', (message) => {
      this.#receive(message, log)
    })
    // not "exit", which may come before the last messages
    this.#child.once('close', (code, signal) => {
      const breach = this.#breach === undefined ? '' : `, for a breach of the protocol: ${this.#breach}`
      this.#end(`${signal ?? `status ${String(code)}`}${breach}`, watcher)
    })
    this.#child.on('error', (error) => {
      log.error({ err: error }, 'the worker process could not be started or reached')
      if (this.#child.pid === undefined) this.#end(error.message, watcher)
    })
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
    const id = this.#nextCall++
    const cancel = (): void => {
      this.#send({ kind: 'cancel', id })
    }
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#isGone) {
        reject(new SheepfsError('closed', 'the worker has ended'))
        return
      }
      this.#calls.set(id, { shape: ANSWERS[method], resolve, reject })
      this.#send({ kind: 'call', id, method, args, limits })
      if (gone?.aborted === true) cancel()
      else gone?.addEventListener('abort', cancel, { once: true })
    })
    return answer.finally(() => gone?.removeEventListener('abort', cancel)) as ReturnType<WorkerMethods[M]>
  }

  /** Lets a process that does not serve yet end by itself: it gives back what it has locked. It takes some seconds at most. */
  abandon(): void {
    this.#send({ kind: 'abandon' })
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
      if (seen > 1) this.#end('SIGKILL, and a thread that waits in the kernel', this.#watcher)
    }
  }

  #send(message: ToWorker): void {
    if (!this.#child.connected) return // its exit settles the calls
    this.#child.send(message, (error) => {
      if (error && !this.#isGone) this.kill() // who cannot be reached cannot be supervised
    })
  }

  /**
   * Whoever breaks the protocol may be somebody else than the program that was started: it is killed, and nothing that it says is
   * heard any more. So is who sends what cannot be dealt with.
   */
  #receive(message: unknown, log: Logger): void {
    if (this.#breach !== undefined) return
    try {
      this.#take(readFromWorker(message))
    } catch (error) {
      this.#breach = errorText(error)
      log.error({ pid: this.pid, err: error }, 'the worker broke the protocol of workers: it is killed')
      this.kill()
    }
  }

  #take(message: FromWorker): void {
    if (message.kind !== 'answer' && message.kind !== 'refusal') {
      this.#watcher.onMessage(message)
      return
    }
    const call = this.#calls.get(message.id)
    if (message.kind === 'answer') call?.resolve(call.shape(message.value))
    else call?.reject(fromWireError(message.error))
    this.#calls.delete(message.id)
  }

  #end(how: string, watcher: WorkerWatcher): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#ended.resolve(undefined)
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const { reject } of calls) reject(new SheepfsError('closed', 'the worker ended before it answered'))
    watcher.onExit(how)
  }
}

async function isZombie(pid: number | undefined): Promise<boolean> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '')
  return /^State:\tZ/m.test(status)
}
