import { Waiter } from '../../sheep/waiter.ts'
import { SheepfsError } from '../../errors.ts'
import { readArguments } from '../ipc/supervisor-messages.ts'
import { MOST_FROM_WORKER, MOST_PARTS } from '../ipc/worker-channel.ts'
import { PART_LENGTH } from '../ipc/worker-messages.ts'
import { realWorld } from '../real-world.ts'
import { toWireError } from '../wire-error.ts'
import type { FromWorker, ToWorker, WorkerCall, WorkerMethods } from '../worker-protocol.ts'

/** The calls of a supervisor that are being answered. */
export class CallAnswers {
  readonly #worker: Partial<WorkerMethods>
  readonly #send: (message: FromWorker) => number
  readonly #answers = new Map<number, { readonly gone: AbortController; readonly answered: Promise<void> }>()

  /** What the worker cannot do yet is not answered. `send` returns the bytes of a message. Errors: too-large. */
  constructor(worker: Partial<WorkerMethods>, send: (message: FromWorker) => number) {
    this.#worker = worker
    this.#send = send
  }

  /** Takes a call, or that nobody waits for one any more. */
  hear(message: ToWorker): void {
    if (message.kind === 'cancel') this.#answers.get(message.id)?.gone.abort()
    if (message.kind !== 'call' || !this.#worker[message.method]) return
    const gone = new AbortController()
    const answered = this.#answer(message, gone.signal).finally(() => this.#answers.delete(message.id))
    this.#answers.set(message.id, { gone, answered })
  }

  /** Resolves when all have their answer. */
  async whenAnswered(): Promise<void> {
    await Promise.all([...this.#answers.values()].map(({ answered }) => answered))
  }

  async #answer(asked: WorkerCall, gone: AbortSignal): Promise<void> {
    const { id, method, limits } = asked
    const waiter = new Waiter({ ...limits, clock: realWorld.clock, gone })
    try {
      const call = this.#worker[method]?.bind(this.#worker) as (...args: readonly unknown[]) => Promise<unknown>
      this.#give(id, await call(...readArguments(asked), waiter))
    } catch (error) {
      this.#send({ kind: 'refusal', id, error: toWireError(error) })
    } finally {
      waiter.end()
    }
  }

  /** Errors: too-large. */
  #give(id: number, value: unknown): void {
    let [rest, bytes] = [value, 0]
    while (Array.isArray(rest) && rest.length > PART_LENGTH) {
      bytes += this.#send({ kind: 'part', id, items: rest.slice(0, PART_LENGTH) })
      if (bytes > MOST_PARTS - MOST_FROM_WORKER) {
        throw new SheepfsError('too-large', `the answer is longer than ${MOST_PARTS >> 20} MiB`)
      }
      rest = rest.slice(PART_LENGTH)
    }
    this.#send({ kind: 'answer', id, value: rest })
  }
}
