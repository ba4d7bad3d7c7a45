import { SheepfsError } from '../../errors.ts'
import type { Shape } from '../ipc/shape.ts'
import { MOST_PARTS } from '../ipc/worker-channel.ts'
import { ANSWERS } from '../ipc/worker-messages.ts'
import { fromWireError } from '../wire-error.ts'
import type { FromWorker, MethodName } from '../worker-protocol.ts'

/** More than all clients of an instance wait for. */
const MOST_CALLS = 10_000

interface PendingCall {
  readonly shape: Shape<unknown>
  readonly parts: unknown[]
  partBytes: number
  readonly resolve: (value: unknown) => void
  readonly reject: (error: SheepfsError) => void
}

/** Calls of one worker without an answer; an entry leaves once, by an answer or by the end of the process. */
export class WorkerCalls {
  readonly #pending = new Map<number, PendingCall>()
  #next = 1

  /** A call to be sent, and what comes of it. Errors: busy, when nothing is answered any more. */
  open(method: MethodName): { readonly id: number; readonly answer: Promise<unknown> } {
    if (this.#pending.size >= MOST_CALLS) {
      throw new SheepfsError('busy', `the worker has ${MOST_CALLS} calls to answer, and answers none`)
    }
    const id = this.#next++
    const answer = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(id, { shape: ANSWERS[method], parts: [], partBytes: 0, resolve, reject })
    })
    return { id, answer }
  }

  /** Takes what a worker has answered, in so many bytes. Errors: protocol, when it is no answer to that call. */
  take(message: Extract<FromWorker, { kind: 'answer' | 'part' | 'refusal' }>, bytes: number): void {
    const call = this.#pending.get(message.id)
    if (!call) throw new SheepfsError('protocol', `an answer to call ${message.id}, expected one to a call that waits`)
    if (message.kind === 'part') {
      call.partBytes += bytes
      if (call.partBytes > MOST_PARTS) {
        throw new SheepfsError('protocol', `an answer of ${call.partBytes} bytes, expected at most ${MOST_PARTS}`)
      }
      call.parts.push(...asList(call.shape(message.items)))
      return
    }
    if (message.kind === 'refusal') call.reject(fromWireError(message.error))
    else call.resolve(whole(call, message.value))
    this.#pending.delete(message.id)
  }

  /** No answer comes any more. */
  end(error: SheepfsError): void {
    const calls = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of calls) reject(error)
  }
}

function whole({ shape, parts }: PendingCall, value: unknown): unknown {
  const last = shape(value)
  return parts.length === 0 ? last : [...parts, ...asList(last)]
}

function asList(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new SheepfsError('protocol', 'parts of what is no list')
  return value
}
