import { type SheepfsError } from '../errors.ts'
import { type Address } from './address.ts'
import { Connection, type ConnectionOptions } from './connection.ts'

const FIRST_BACKOFF_MS = 500
const LAST_BACKOFF_MS = 30_000

/** One daemon of the cluster and the connection to it, made when first needed and again after a loss. */
export class Sheep {
  readonly address: Address
  readonly #options: ConnectionOptions
  readonly #onLost: (sheep: Sheep, error: SheepfsError) => void
  #connection: Connection | undefined
  #connecting: Promise<Connection> | undefined
  #backoffMs = 0
  #retryAt = 0

  constructor(address: Address, options: ConnectionOptions, onLost: (sheep: Sheep, error: SheepfsError) => void) {
    this.address = address
    this.#options = options
    this.#onLost = onLost
  }

  /** The open connection; undefined when there is none now. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  /** False for a while after a failure, growing with each. */
  get isWorthTrying(): boolean {
    return performance.now() >= this.#retryAt
  }

  /** The open connection, or a new one. Callers share one attempt. Errors: unreachable, timeout. */
  connect(): Promise<Connection> {
    if (this.#connection) return Promise.resolve(this.#connection)
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** Ends the connection and everything in flight on it. */
  destroy(error: SheepfsError): void {
    this.#connection?.destroy(error)
    this.#connecting?.then(
      (connection) => {
        connection.destroy(error)
      },
      () => undefined, // it never came to be
    )
  }

  async #open(): Promise<Connection> {
    try {
      const connection = await Connection.open(this.address, this.#options, (error) => {
        this.#connection = undefined
        this.#holdOff()
        this.#onLost(this, error)
      })
      this.#connection = connection
      this.#backoffMs = 0
      return connection
    } catch (error) {
      this.#holdOff()
      throw error
    }
  }

  #holdOff(): void {
    this.#backoffMs = Math.min(Math.max(FIRST_BACKOFF_MS, this.#backoffMs * 2), LAST_BACKOFF_MS)
    this.#retryAt = performance.now() + this.#backoffMs
  }
}
