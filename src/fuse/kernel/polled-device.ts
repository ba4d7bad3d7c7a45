import type { Poller as PollerClass } from '@serialport/bindings-cpp/dist/poller.js'
import { receiveFrom, sendAsideTo, sendTo } from './device-io.ts'
import type { Device, DeviceEnd } from './device.ts'

export type PollerConstructor = typeof PollerClass

const UV_READABLE = 1

/** uv_poll for any descriptor, from a package's native part; undefined where that cannot be loaded. */
export async function loadPoller(): Promise<PollerConstructor | undefined> {
  try {
    return (await import('@serialport/bindings-cpp/dist/poller.js')).Poller
  } catch {
    return undefined
  }
}

/** A non-blocking descriptor that the event loop watches. */
export class PolledDevice implements Device {
  readonly #fd: number
  readonly #Poller: PollerConstructor
  #poller: PollerClass | undefined
  #wake: () => void = () => undefined

  constructor(fd: number, Poller: PollerConstructor) {
    this.#fd = fd
    this.#Poller = Poller
  }

  start(wake: () => void): void {
    this.#wake = () => {
      if (this.#poller !== undefined) wake()
    }
    this.#poller = new this.#Poller(this.#fd)
    // The native callback runs outside of Node's callback scope: promises settled in it would wait for the next event
    // (docs/fuse-kernel-protocol.md#13).
    this.#poller.on('readable', () => setImmediate(this.#wake))
    this.awaken()
  }

  awaken(): void {
    this.#poller?.poll(UV_READABLE)
  }

  receive(into: Uint8Array): number | DeviceEnd {
    return receiveFrom(this.#fd, into)
  }

  send(message: Uint8Array): void {
    sendTo(this.#fd, message)
  }

  sendAside(message: Uint8Array): Promise<void> {
    return sendAsideTo(this.#fd, message)
  }

  close(): void {
    const poller = this.#poller
    this.#poller = undefined
    poller?.removeAllListeners()
    poller?.stop() // its destroy waits for the garbage collector, and the process with it
    poller?.destroy()
  }
}
