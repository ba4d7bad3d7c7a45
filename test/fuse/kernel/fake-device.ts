import type { Device, DeviceEnd } from '../../../src/fuse/kernel/device.ts'

/** A kernel made of bytes: requests are put in, replies are collected. */
export class FakeDevice implements Device {
  /** What was sent and not yet looked at. */
  readonly sent: Buffer[] = []
  /** Called with each message aside; settles when it is taken. */
  aside: (message: Uint8Array) => Promise<void> = (message) => {
    this.sent.push(Buffer.from(message))
    return Promise.resolve()
  }
  /** Thrown by the next send. */
  refusal: Error | undefined
  isClosed = false
  readonly #requests: (Uint8Array | DeviceEnd)[] = []
  readonly #waiters: (() => void)[] = []
  #wake: (() => void) | undefined
  #isAwaited = false

  start(wake: () => void): void {
    this.#wake = wake
    this.awaken()
  }

  awaken(): void {
    this.#isAwaited = true
    if (this.#requests.length > 0) this.#arrive()
  }

  /** Requests that the session has not taken. */
  get untaken(): number {
    return this.#requests.length
  }

  put(...requests: readonly (Uint8Array | DeviceEnd)[]): void {
    this.#requests.push(...requests)
    this.#arrive()
  }

  receive(into: Uint8Array): number | DeviceEnd {
    const next = this.#requests.shift()
    if (next === undefined || typeof next === 'string') return next ?? 0
    into.set(next)
    return next.length
  }

  send(message: Uint8Array): void {
    const refusal = this.refusal
    this.refusal = undefined
    if (refusal !== undefined) throw refusal
    this.sent.push(Buffer.from(message))
    this.#waiters.shift()?.()
  }

  sendAside(message: Uint8Array): Promise<void> {
    return this.aside(message)
  }

  close(): void {
    this.isClosed = true
    this.#wake = undefined
  }

  /** The reply to one request, as hexadecimal digits without its length and error where those are plain success. */
  async exchange(request: Uint8Array): Promise<Buffer> {
    const answered = new Promise<void>((resolve) => this.#waiters.push(resolve))
    this.put(request)
    await answered
    return this.sent.pop() ?? Buffer.alloc(0)
  }

  #arrive(): void {
    if (!this.#isAwaited) return
    this.#isAwaited = false
    setImmediate(() => this.#wake?.())
  }
}

/** A request's bytes: struct fuse_in_header and its arguments. */
export function request(
  opcode: number,
  options: { unique?: bigint; nodeid?: number; args?: Uint8Array } = {},
): Uint8Array {
  const { unique = 2n, nodeid = 1, args = new Uint8Array(0) } = options
  const header = Buffer.alloc(40)
  header.writeUInt32LE(40 + args.length, 0)
  header.writeUInt32LE(opcode, 4)
  header.writeBigUInt64LE(unique, 8)
  header.writeBigUInt64LE(BigInt(nodeid), 16)
  return Buffer.concat([header, args])
}

/** Little-endian members, one after the other: [value, bytes]. */
export function packed(...members: readonly (readonly [number | bigint, 4 | 8])[]): Buffer {
  return Buffer.concat(
    members.map(([value, size]) => {
      const member = Buffer.alloc(size)
      if (size === 8) member.writeBigUInt64LE(BigInt(value))
      else member.writeUInt32LE(Number(value))
      return member
    }),
  )
}

/** A reply's bytes: struct fuse_out_header and a payload. */
export function reply(options: { unique?: bigint; error?: number; payload?: Uint8Array } = {}): Buffer {
  const { unique = 2n, error = 0, payload = new Uint8Array(0) } = options
  const header = Buffer.alloc(16)
  header.writeUInt32LE(16 + payload.length, 0)
  header.writeInt32LE(error, 4)
  header.writeBigUInt64LE(unique, 8)
  return Buffer.concat([header, payload])
}
