import { readFile } from 'node:fs/promises'
import type { WorkerClient } from './worker-client.ts'

export interface PulseLimits {
  readonly intervalMs: number
  /** A worker that does not answer a ping within this time is stuck: a ping needs no cluster. */
  readonly answerMs: number
  /** The same for its first: on a busy host it takes a while until a process runs. */
  readonly firstAnswerMs: number
  /** Bytes of memory that no worker needs, with all the volumes it may have. */
  readonly memory: number
}

const LIMITS: PulseLimits = { intervalMs: 2000, answerMs: 10_000, firstAnswerMs: 60_000, memory: 2 ** 31 }

/** Looks again and again whether a worker answers, and what memory it takes; from its start on, whether it serves yet or not. */
export class WorkerPulse {
  readonly #onStuck: (worker: WorkerClient, why: string) => void
  readonly #limits: PulseLimits
  #worker: WorkerClient | undefined
  #timer: NodeJS.Timeout | undefined
  #lastPong = 0
  #lastBeat = 0
  #askedAt: number | undefined
  #hasSpoken = false

  /** `onStuck`: once for each time that a worker does not answer for as long as that, and whenever it has too much memory. */
  constructor(onStuck: (worker: WorkerClient, why: string) => void, limits = LIMITS) {
    this.#onStuck = onStuck
    this.#limits = limits
  }

  /** False when the worker has not given a sign of life for too long, and nobody has done anything about it. */
  get isAlive(): boolean {
    const { answerMs, intervalMs } = this.#limits
    return performance.now() - this.#lastPong < answerMs + 2 * intervalMs
  }

  /** Watches this worker, and the one before no more. */
  start(worker: WorkerClient): void {
    this.stop()
    this.#worker = worker
    this.#hasSpoken = false
    this.#lastPong = this.#lastBeat = performance.now()
    this.#timer = setInterval(() => {
      this.#beat(worker)
      void this.#weigh(worker)
    }, this.#limits.intervalMs)
    this.#timer.unref()
  }

  /** A worker has said something: its process runs. */
  hear(worker: WorkerClient): void {
    if (worker === this.#worker) this.#hasSpoken = true
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#worker = undefined
    this.#askedAt = undefined
  }

  #beat(worker: WorkerClient): void {
    const { intervalMs, answerMs, firstAnswerMs } = this.#limits
    const limitMs = this.#hasSpoken ? answerMs : firstAnswerMs
    const now = performance.now()
    const wasAway = now - this.#lastBeat > 2 * intervalMs
    this.#lastBeat = now
    if (this.#askedAt === undefined) this.#ask(worker, now)
    else if (wasAway)
      this.#askedAt = now // it is this process that stood still: the answer may have come meanwhile
    else if (now - this.#askedAt > limitMs) {
      this.#askedAt = undefined
      this.#onStuck(worker, `it has not answered for ${limitMs / 1000} s`)
    }
  }

  #ask(worker: WorkerClient, askedAt: number): void {
    this.#askedAt = askedAt
    const onPong = (): void => {
      if (worker !== this.#worker) return
      this.#askedAt = undefined
      this.#hasSpoken = true
      this.#lastPong = performance.now()
    }
    worker.call('ping').then(onPong, onPong)
  }

  async #weigh(worker: WorkerClient): Promise<void> {
    const memory = await memoryOf(worker.pid)
    if (worker !== this.#worker || memory <= this.#limits.memory) return
    this.#onStuck(worker, `it has taken ${memory} bytes of memory, expected at most ${this.#limits.memory}`)
  }
}

/** As the kernel has it, whatever the process says. 0: it is gone. */
async function memoryOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8').catch(() => '')
  return 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0)
}
