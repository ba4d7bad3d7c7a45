import { Waiter } from '../../sheep/waiter.ts'
import { realWorld } from '../real-world.ts'
import { toWireError } from '../wire-error.ts'
import type { FromWorker, ToWorker, WorkerCall, WorkerMethods } from '../worker-protocol.ts'

/** The calls of a supervisor that are being answered. */
export class CallAnswers {
  readonly #worker: WorkerMethods
  readonly #send: (message: FromWorker) => void
  readonly #answers = new Map<number, { readonly gone: AbortController; readonly answered: Promise<void> }>()

  constructor(worker: WorkerMethods, send: (message: FromWorker) => void) {
    this.#worker = worker
    this.#send = send
  }

  /** Takes a call, or that nobody waits for one any more. */
  hear(message: ToWorker): void {
    if (message.kind === 'cancel') this.#answers.get(message.id)?.gone.abort()
    if (message.kind !== 'call') return
    const gone = new AbortController()
    const answered = this.#answer(message, gone.signal).finally(() => this.#answers.delete(message.id))
    this.#answers.set(message.id, { gone, answered })
  }

  /** Resolves when all have their answer. */
  async whenAnswered(): Promise<void> {
    await Promise.all([...this.#answers.values()].map(({ answered }) => answered))
  }

  async #answer({ id, method, args, limits }: WorkerCall, gone: AbortSignal): Promise<void> {
    const waiter = new Waiter({ ...limits, clock: realWorld.clock, gone })
    try {
      const call = this.#worker[method].bind(this.#worker) as (...args: readonly unknown[]) => Promise<unknown>
      this.#send({ kind: 'answer', id, value: await call(...args, waiter) })
    } catch (error) {
      this.#send({ kind: 'refusal', id, error: toWireError(error) })
    } finally {
      waiter.end()
    }
  }
}
