import { read } from 'node:fs'
import { LARGEST_BUFFER } from './buffer-pool.ts'
import { readOutcome, sendAsideTo, sendTo } from './device-io.ts'
import type { Device, DeviceEnd } from './device.ts'

/** Outstanding reads: each holds a thread of libuv's pool of four. */
const READERS = 2
/** For a descriptor that another process opened non-blocking. */
const RETRY_MS = 1

/**
 * The way without native code: blocking reads in libuv's thread pool. The process cannot exit while they wait, until the
 * mount has ended (docs/fuse-kernel-protocol.md#13).
 */
export class ThreadpoolDevice implements Device {
  readonly #fd: number
  readonly #arrived: { buffer: Buffer; length: number }[] = []
  #outstanding = 0
  #end: DeviceEnd | undefined
  #error: unknown
  #wake: (() => void) | undefined
  #isAsleep = true

  constructor(fd: number) {
    this.#fd = fd
  }

  start(wake: () => void): void {
    this.#wake = wake
    for (let reader = 0; reader < READERS; reader++) this.#read(Buffer.allocUnsafeSlow(LARGEST_BUFFER))
  }

  awaken(): void {
    this.#isAsleep = true
    if (this.#arrived.length > 0 || this.#hasEnded) setImmediate(this.#arrive)
  }

  receive(into: Uint8Array): number | DeviceEnd {
    const next = this.#arrived.shift()
    if (next !== undefined) {
      into.set(next.buffer.subarray(0, next.length))
      this.#read(next.buffer)
      return next.length
    }
    if (!this.#hasEnded) return 0
    if (this.#error !== undefined) throw this.#error as Error
    return this.#end ?? 0
  }

  send(message: Uint8Array): void {
    sendTo(this.#fd, message)
  }

  sendAside(message: Uint8Array): Promise<void> {
    return sendAsideTo(this.#fd, message)
  }

  close(): void {
    this.#wake = undefined
  }

  /** Only once no read is left: the descriptor may be closed then, and its number given to another file. */
  get #hasEnded(): boolean {
    return this.#outstanding === 0 && (this.#end !== undefined || this.#error !== undefined)
  }

  #read(buffer: Buffer): void {
    if (this.#wake === undefined) return
    this.#outstanding++
    read(this.#fd, buffer, 0, buffer.length, null, (error, length) => {
      this.#outstanding--
      if (error === null) this.#arrived.push({ buffer, length })
      else this.#goOnAfter(error, buffer)
      if (this.#arrived.length > 0 || this.#hasEnded) this.#arrive()
    })
  }

  #goOnAfter(error: unknown, buffer: Buffer): void {
    try {
      const outcome = readOutcome(error)
      if (outcome === 'retry') this.#read(buffer)
      else if (outcome === 0) this.#readLater(buffer)
      else this.#end = outcome
    } catch (defect) {
      this.#error = defect
    }
  }

  #readLater(buffer: Buffer): void {
    this.#outstanding++
    setTimeout(() => {
      this.#outstanding--
      this.#read(buffer)
    }, RETRY_MS)
  }

  readonly #arrive = (): void => {
    if (!this.#isAsleep) return
    this.#isAsleep = false
    this.#wake?.()
  }
}
