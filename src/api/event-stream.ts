import { Readable } from 'node:stream'
import type { Event } from './schema/event.ts'

export interface EventStreamOptions {
  readonly heartbeatMs: number
  readonly subscribe: (listener: (event: Event) => void) => () => void
}

/** A reader that is so far behind is cut off; it connects again and asks for the state. */
const LONGEST_BACKLOG = 1024 * 1024

/** Events as text/event-stream (WHATWG HTML, server-sent events), with a comment as a sign of life now and then. */
export class EventStream extends Readable {
  readonly #stop: () => void
  #nextId = 1
  #isEnded = false

  constructor({ heartbeatMs, subscribe }: EventStreamOptions) {
    super()
    this.push(': events\n\n')
    const unsubscribe = subscribe((event) => {
      this.#send(`id: ${this.#nextId++}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    })
    const heartbeat = setInterval(() => {
      this.#send(': alive\n\n')
    }, heartbeatMs)
    heartbeat.unref()
    this.#stop = () => {
      clearInterval(heartbeat)
      unsubscribe()
    }
  }

  /** The stream ends for its reader. Idempotent. */
  end(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#stop()
    this.push(null)
  }

  override _read(): void {
    // events are pushed when they happen
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#isEnded = true
    this.#stop()
    callback(error)
  }

  #send(text: string): void {
    if (this.#isEnded) return
    this.push(text)
    if (this.readableLength > LONGEST_BACKLOG) this.destroy() // an end would wait until all of it is read
  }
}
