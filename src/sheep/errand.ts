import type { Clock } from '../clock.ts'
import { isSheepfsError, SheepfsError } from '../errors.ts'
import type { Message, Response } from '../wire/message.ts'
import type { Address } from './address.ts'
import type { Connection } from './connection.ts'
import type { LockBook } from './lock-book.ts'
import type { LockStates } from './lock-table.ts'
import type { Caller, RequestOptions, Requests } from './requests.ts'
import type { Waiter } from './waiter.ts'

/**
 * What one caller asks of a cluster, on a connection of its own to home: when he waits no more, the connection is reset with
 * what a sheep has not read of it, and nothing is sent any more. A sheep that has stopped is never sent anything: it has to
 * answer first.
 */
export class Errand implements Requests, Caller {
  readonly #cluster: Requests
  readonly #open: () => Promise<Connection>
  readonly waiter: Waiter
  #connection: Connection | undefined
  #connecting: Promise<Connection> | undefined
  #hasChanged = false
  #standing: string | undefined

  constructor(cluster: Requests, waiter: Waiter, open: () => Promise<Connection>) {
    this.#cluster = cluster
    this.waiter = waiter
    this.#open = open
    waiter.signal.addEventListener('abort', () => {
      this.#connection?.destroy(waiter.signal.reason as SheepfsError)
    })
  }

  get clock(): Clock {
    return this.#cluster.clock
  }

  get protoVer(): number {
    return this.#cluster.protoVer
  }

  get hasLocking(): boolean {
    return this.#cluster.hasLocking
  }

  get homePeer(): Address | undefined {
    return this.#cluster.homePeer
  }

  get locks(): LockBook {
    return this.#cluster.locks
  }

  lockStates(): Promise<LockStates> {
    return this.#answered(this.waiter.until(this.#cluster.lockStates()))
  }

  lockGrace(): Promise<boolean> {
    return this.waiter.until(this.#cluster.lockGrace())
  }

  get lasting(): Requests {
    return this.#cluster
  }

  committed(standing: string): void {
    this.waiter.hold()
    this.#standing = standing
  }

  read(message: Message, options?: RequestOptions): Promise<Response> {
    return this.#answered(this.waiter.until(this.#cluster.read(message, { ...options, caller: this })))
  }

  change(message: Message, options?: RequestOptions): Promise<Response> {
    return this.#answered(this.#cluster.change(message, { ...options, caller: this }))
  }

  changeOnce(message: Message, options?: RequestOptions): Promise<Response | undefined> {
    return this.#answered(this.#cluster.changeOnce(message, { ...options, caller: this }))
  }

  query(message: Message): Promise<Response> {
    return this.#answered(this.#cluster.query(message, this))
  }

  ask(address: Address, message: Message): Promise<Response> {
    return this.waiter.until(this.#cluster.ask(address, message))
  }

  /** Its connection, for a question. Errors: unreachable, timeout; why he waits no more. */
  async connect(): Promise<Connection> {
    const { signal } = this.waiter
    signal.throwIfAborted()
    if (this.#connection && !this.#connection.closed) return this.#connection
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    const connection = await this.#connecting
    this.#connection = connection
    if (signal.aborted) connection.destroy(signal.reason as SheepfsError)
    signal.throwIfAborted()
    return connection
  }

  async connectForChange(): Promise<Connection> {
    const connection = await this.connect()
    this.#hasChanged = true
    return connection
  }

  /** Nothing more is asked in it. */
  end(): void {
    this.#connection?.destroy(new SheepfsError('closed', 'what was asked for is done'))
  }

  /** Of an error that ended it: says what may have been done all the same. `look` tells how to find out. */
  explain(error: unknown, look: string): unknown {
    const isOver =
      this.waiter.signal.aborted || isSheepfsError(error, 'unreachable') || isSheepfsError(error, 'timeout')
    if (!isSheepfsError(error) || !isOver) return error
    const standing = this.#standing ?? (this.#hasChanged ? `it may have been done: look with ${look}` : undefined)
    return standing === undefined
      ? error
      : new SheepfsError(error.code, `${error.message}; ${standing}`, { cause: error })
  }

  async #answered<T>(work: Promise<T>): Promise<T> {
    const answer = await work
    if (answer !== undefined) this.waiter.noteAnswer()
    return answer
  }
}
