import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { createServer, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { frame } from './frame.ts'

/** What a captured worker is told to do; when it is done it says how many lies it has told. */
export type Order =
  /** Sends a message to the supervisor, or writes bytes, in base64, to its channel. */
  | { readonly say: unknown; readonly times?: number }
  | { readonly write: string; readonly times?: number }
  /** Writes to stderr. */
  | { readonly complain: string; readonly times?: number }
  /** Writes to the device of the mount, in base64. */
  | { readonly notify: string }
  /** From now on it answers the kernel so. */
  | { readonly lies: readonly Lie[] }
  | 'hang'

/** A false answer to requests of one kind. Numbers of bytes are from the beginning of the message, header included. */
export interface Lie {
  readonly opcode: number
  /** Only for this name, of a LOOKUP. */
  readonly name?: string
  /** In place of what follows the header, in base64. */
  readonly payload?: string
  /** Written over the answer, in hexadecimal, by where. */
  readonly patches?: Readonly<Record<number, string>>
  /** A false length or error in the header. */
  readonly length?: number
  readonly error?: number
}

const DEVICE_FD = 3
const CHANNEL_FD = 4
const IN_HEADER = 40
const OUT_HEADER = 16

/*
 * Loaded into every process of a daemon (NODE_OPTIONS=--import): in the worker of the mount that SHEEPFS_TEST_CAPTURED names it
 * puts itself between the program and the kernel, and obeys who connects to a socket with the pid of the process. It serves
 * as ever until it is told otherwise.
 */
if (process.argv[1]?.endsWith('worker-process.js') === true && process.argv[2] === process.env['SHEEPFS_TEST_CAPTURED'])
  capture(process.env['SHEEPFS_TEST_ORDERS'] ?? '')

function capture(directory: string): void {
  const liar = standBetween()
  const server = createServer((socket) => {
    socket.unref()
    createInterface({ input: socket }).on('line', (line) => {
      obey(JSON.parse(line) as Order, liar)
      socket.write(`${liar.told}\n`)
    })
  })
  server.listen(join(directory, String(process.pid))).unref()
}

interface Liar {
  lies: readonly Lie[]
  told: number
  readonly write: typeof fs.writeSync
}

/** Hears requests of the kernel, and changes the answers to them. */
function standBetween(): Liar {
  const liar: Liar = { lies: [], told: 0, write: fs.writeSync }
  const asked = new Map<bigint, { opcode: number; name: string }>()
  const read = fs.readSync as (fd: number, into: Uint8Array, ...rest: unknown[]) => number
  const write = fs.writeSync as (fd: number, bytes: Uint8Array, ...rest: unknown[]) => number
  fs.readSync = ((fd: number, into: Uint8Array, ...rest: unknown[]): number => {
    const length = read(fd, into, ...rest)
    if (fd !== DEVICE_FD || length < IN_HEADER) return length
    const request = Buffer.from(into.buffer, into.byteOffset, length)
    const name = request
      .toString('utf8', IN_HEADER, Math.min(length, IN_HEADER + 256))
      .split('\0', 1)
      .join('')
    asked.set(request.readBigUInt64LE(8), { opcode: request.readUInt32LE(4), name })
    return length
  }) as typeof fs.readSync
  fs.writeSync = ((fd: number, bytes: Uint8Array, ...rest: unknown[]): number => {
    if (fd !== DEVICE_FD || bytes.length < OUT_HEADER) return write(fd, bytes, ...rest)
    const honest = Buffer.from(bytes)
    const request = asked.get(honest.readBigUInt64LE(8))
    asked.delete(honest.readBigUInt64LE(8))
    const lie = liar.lies.find(
      ({ opcode, name }) => opcode === request?.opcode && (name ?? request.name) === request.name,
    )
    if (!lie) return write(fd, bytes)
    liar.told++
    try {
      return write(fd, answer(honest, lie))
    } catch {
      return write(fd, bytes) // the kernel sees through it
    }
  }) as typeof fs.writeSync
  syncBuiltinESMExports()
  return liar
}

function answer(honest: Buffer, { payload, patches = {}, length, error }: Lie): Buffer {
  const body = payload === undefined ? honest.subarray(OUT_HEADER) : Buffer.from(payload, 'base64')
  const message = Buffer.concat([honest.subarray(0, OUT_HEADER), body])
  for (const [at, bytes] of Object.entries(patches)) message.write(bytes, Number(at), 'hex')
  message.writeUInt32LE(length ?? message.length)
  if (error !== undefined || payload !== undefined) message.writeInt32LE(error ?? 0, 4)
  return message
}

function obey(order: Order, liar: Liar): void {
  if (order === 'hang') for (;;);
  if ('lies' in order) liar.lies = order.lies
  else if ('notify' in order) tryTo(() => liar.write(DEVICE_FD, Buffer.from(order.notify, 'base64')))
  else {
    for (let done = 0; done < (order.times ?? 1); done++) {
      if ('complain' in order) tryTo(() => liar.write(2, order.complain))
      else channel().write('say' in order ? frame(order.say) : Buffer.from(order.write, 'base64'))
    }
  }
}

/** The one that the program has. */
function channel(): Socket {
  const { _getActiveHandles: handles } = process as unknown as { _getActiveHandles: () => readonly unknown[] }
  const found = handles.call(process).find((handle): handle is Socket => fdOf(handle) === CHANNEL_FD)
  if (!found) throw new Error('a worker has a channel')
  return found
}

function fdOf(handle: unknown): number | undefined {
  return handle instanceof Socket ? (handle as unknown as { _handle?: { fd?: number } })._handle?.fd : undefined
}

/** The other side may refuse. */
function tryTo(act: () => void): void {
  try {
    act()
  } catch {
    return
  }
}
