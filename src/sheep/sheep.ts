import { sleep } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { getClusterDefault } from '../wire/info-ops.ts'
import { SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { addressText, type Address } from './address.ts'
import { openBriefly } from './brief-connection.ts'
import type { ClientContext } from './client-context.ts'
import { Connection, type ConnectionOptions } from './connection.ts'
import { isGatewayLeaving, resultError } from './result-error.ts'
import { settled } from './settle.ts'
import { loadFormat } from './topology-load.ts'

/** `hadChanges`: what was in flight may change something, and may still be executed. */
type OnLost = (connection: Connection, error: SheepfsError, hadChanges: boolean) => void

/**
 * One daemon of the cluster and the connection to it, made when first needed and again after a loss. When it was lost with
 * changes under way, the next connection waits until they are over: then nothing of ours keeps the sheep busy and it can
 * be seen when it is done.
 */
export class Sheep {
  readonly address: Address
  readonly #context: ClientContext
  readonly #onLost: (sheep: Sheep) => void
  #connection: Connection | undefined
  #connecting: Promise<Connection> | undefined
  #settling: Promise<void> | undefined
  #opened = 0
  #backoffMs = 0
  #retryAt = 0
  #destroyed: SheepfsError | undefined
  #foreign: string | undefined
  /** Connections beside the one that all share. */
  readonly #lines = new Set<Connection>()

  constructor(address: Address, context: ClientContext, onLost: (sheep: Sheep) => void) {
    this.address = address
    this.#context = context
    this.#onLost = onLost
  }

  /** The open connection; undefined when there is none now. */
  get connection(): Connection | undefined {
    return this.#connection
  }

  get isConnecting(): boolean {
    return this.#connecting !== undefined
  }

  /** When the other cluster was formatted that it belonged to when it was last connected to; undefined: to ours. */
  get foreign(): string | undefined {
    return this.#foreign
  }

  /** Connections made again after a loss. */
  get reconnects(): number {
    return Math.max(0, this.#opened - 1)
  }

  /** False for a while after a failure, growing with each. */
  get isWorthTrying(): boolean {
    return this.#context.world.clock.now() >= this.#retryAt
  }

  /** Nothing is under way with it, nor may be from before. */
  get isIdle(): boolean {
    const isBusy = this.#connecting ?? this.#settling
    return !isBusy && this.#lines.size === 0 && (this.#connection?.inFlight ?? 0) === 0
  }

  /** Resolves when the changes that were under way at the last loss are over; see settle.ts. */
  get settled(): Promise<void> {
    return this.#settling ?? Promise.resolve()
  }

  /** The open connection, or a new one on which the sheep has answered. Callers share one attempt. Errors: unreachable, timeout. */
  connect(): Promise<Connection> {
    if (this.#destroyed) return Promise.reject(this.#destroyed)
    if (this.#connection) return Promise.resolve(this.#connection)
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  /** As `connect`, when it answers now that it is of our cluster: an open connection may be from before that was formatted. */
  async connectKnown(): Promise<Connection> {
    const open = this.#connection
    const connection = await this.connect()
    if (connection === open) await this.#checkCluster(connection)
    return connection
  }

  /** Resolves when it answers now, whatever an open connection may promise. Errors: unreachable, timeout. */
  async verify(): Promise<void> {
    const line = await this.openLine()
    line.destroy(new SheepfsError('closed', 'asked'))
  }

  /** A connection for one caller, who destroys it: what he has sent on it ends with it. Errors: unreachable, timeout. */
  async openLine(): Promise<Connection> {
    if (this.#destroyed) throw this.#destroyed
    const line = await this.#dial(this.#connectionOptions, (lost, _, hadChanges) => {
      this.#lines.delete(lost)
      if (hadChanges && !this.#destroyed) this.#settle(lost)
    })
    this.#lines.add(line)
    return line
  }

  /** Others are preferred for a while. */
  holdOff(): void {
    const { firstBackoffMs, lastBackoffMs } = this.#context.timing
    this.#backoffMs = Math.min(Math.max(firstBackoffMs, this.#backoffMs * 2), lastBackoffMs)
    this.#retryAt = this.#context.world.clock.now() + this.#backoffMs
  }

  /** Ends the connection and everything in flight on it, for good. */
  destroy(error: SheepfsError): void {
    this.#destroyed = error
    this.#connection?.destroy(error)
    for (const line of this.#lines) line.destroy(error)
  }

  async #open(): Promise<Connection> {
    try {
      const onChange = this.#noteSilence.bind(this)
      const options = { ...this.#connectionOptions, silence: { afterMs: this.#context.timing.silenceMs, onChange } }
      this.#connection = await this.#dial(options, (connection, error, hadChanges) => {
        this.#lost(connection, error, hadChanges)
      })
    } catch (error) {
      this.holdOff()
      throw error
    }
    this.#opened++
    this.#backoffMs = 0
    return this.#connection
  }

  /** A new connection on which the sheep has answered. */
  async #dial(options: ConnectionOptions, onLost: OnLost): Promise<Connection> {
    const { world, timing } = this.#context
    if (this.#settling) {
      await Promise.race([this.#settling, sleep(world.clock, timing.settleSilentMs, { isBackground: true })])
    }
    const connection: Connection = await Connection.open(this.address, options, (error, hadChanges) => {
      onLost(connection, error, hadChanges)
    })
    try {
      await this.#probe(connection)
      if (this.#destroyed) throw this.#destroyed
      if (connection.closed) throw connection.closed
      return connection
    } catch (error) {
      connection.destroy(
        error instanceof SheepfsError ? error : new SheepfsError('unreachable', 'no use', { cause: error }),
      )
      throw error
    }
  }

  get #connectionOptions(): ConnectionOptions {
    const { world, timing, known, outage } = this.#context
    return {
      world,
      connectTimeoutMs: timing.connectTimeoutMs,
      deadlineMs: () => outage.deadlineMs,
      patienceMs: timing.holderPatienceMs,
      trimsZeros: () => known.protoVer <= SD_SHEEP_PROTO_VERS[2],
    }
  }

  #noteSilence(isSilent: boolean): void {
    const { timing, outage, log } = this.#context
    const sheep = addressText(this.address)
    outage.noteSilence(sheep, isSilent)
    if (isSilent) {
      const limits = `${timing.silenceMs / 1000} s; it counts as lost after ${outage.deadlineMs / 1000} s`
      log.warn({ sheep }, `a sheep has not answered for ${limits}`)
      void this.#watchLife()
    } else log.info({ sheep }, 'the sheep answers again')
  }

  /** While requests go unanswered, asks on a second connection: who does not answer there either is lost at once. */
  async #watchLife(): Promise<void> {
    const { world, timing } = this.#context
    const connection = this.#connection
    const isDoubted = (): boolean => connection?.isSilent === true && !connection.closed
    while (isDoubted()) {
      const error = await this.#signOfLife(connection?.peer ?? this.address)
      if (error && isDoubted()) connection?.destroy(error)
      else await sleep(world.clock, timing.silenceMs, { isBackground: true })
    }
  }

  /** Why there is none; undefined when it lives. */
  async #signOfLife(peer: Address): Promise<SheepfsError | undefined> {
    const { world, timing } = this.#context
    const line = await openBriefly(world, peer, timing.signOfLifeMs).catch(() => undefined)
    try {
      await line?.exchange(getClusterDefault())
      if (line) return undefined
    } catch {
      // said below
    } finally {
      line?.destroy(new SheepfsError('closed', 'asked'))
    }
    const text = `sheep ${addressText(this.address)}: it answers neither requests nor the question whether it lives`
    return new SheepfsError('timeout', text)
  }

  /** A stopped process still takes connections: only one that answers is of use. Any sheep in any state knows this question. */
  async #probe(connection: Connection): Promise<void> {
    const { world, timing } = this.#context
    const timer = world.clock.after(timing.connectTimeoutMs, () => {
      const text = `sheep ${addressText(this.address)}: takes connections but does not answer`
      connection.destroy(new SheepfsError('timeout', text))
    })
    try {
      const { result } = await connection.exchange(getClusterDefault())
      if (isGatewayLeaving(result)) {
        throw new SheepfsError('unreachable', resultError(result, `sheep ${addressText(this.address)}`).message)
      }
      await this.#checkCluster(connection)
    } finally {
      timer.cancel()
    }
  }

  async #checkCluster(connection: Connection): Promise<void> {
    const { known } = this.#context
    if (known.ctime === undefined) return
    const { ctime } = await loadFormat(connection)
    this.#foreign = ctime === known.ctime ? undefined : ctime
    if (ctime === known.ctime) return
    const error = new SheepfsError('unreachable', `sheep ${addressText(this.address)} belongs to another cluster`)
    this.#connection?.destroy(error) // which was made before the sheep was formatted
    throw error
  }

  #lost(connection: Connection, error: SheepfsError, hadChanges: boolean): void {
    if (connection !== this.#connection) return
    this.#connection = undefined
    this.holdOff()
    if (hadChanges && !this.#destroyed) this.#settle(connection)
    const { outage, log } = this.#context
    outage.noteSilence(addressText(this.address), false)
    this.#onLost(this)
    if (this.#destroyed) return
    log.warn({ sheep: addressText(this.address), code: error.code }, `lost a sheep: ${error.message}`)
  }

  /** It is the one that was lost that is asked: its name may lead to another now. */
  #settle({ peer }: Connection): void {
    const settling = settled(peer, this.#context).finally(() => {
      if (this.#settling === settling) this.#settling = undefined
    })
    this.#settling = settling
  }
}
