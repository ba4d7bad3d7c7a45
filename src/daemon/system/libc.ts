import { createRequire } from 'node:module'
import { errorText } from '../../errors.ts'

/*
 * System calls that Node.js has no function for, through the C library of the system (koffi: an FFI that needs no compiler).
 * Loaded when the first is made, and in the supervisor alone.
 */

/** What is used of the C library. Errors: those of the system, with their `code`. */
export interface Libc {
  /** One datagram with descriptors, to a unix socket: the path, or an abstract name that begins with "@". */
  sendDescriptors(socketName: string, text: string, fds: readonly number[]): void
  /** prctl(2) with one argument. */
  prctl(option: number, argument: number): void
}

/** What is used of koffi, whose own types are not there where it is not installed. */
interface Koffi {
  load(path: null): {
    func(name: string, result: string, parameters: readonly unknown[]): (...args: unknown[]) => number
  }
  struct(members: Readonly<Record<string, unknown>>): unknown
  pointer(type: unknown): unknown
  errno(): number
  readonly os: { readonly errno: Readonly<Record<string, number>> }
}

const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const FD_SIZE = 4
/** sizeof(size_t), to which control messages are aligned: koffi has binaries for machines of 64 bits that we support. */
const WORD_SIZE = 8
/** sizeof(struct cmsghdr): its length is a size_t. */
const CMSG_HEADER_SIZE = 16
/** struct sockaddr_un: the family, and the name, at most. */
const SUN_PATH_SIZE = 108

/**
 * The C library for who needs it: it takes some megabytes. Errors, each time: koffi is not there, or has nothing for this
 * machine.
 */
export function libcOnDemand(load = loadLibc): () => Libc {
  let loaded: Libc | Error | undefined
  return () => {
    loaded ??= tryLibc(load)
    if (loaded instanceof Error) throw loaded
    return loaded
  }
}

function tryLibc(load: () => Libc): Libc | Error {
  try {
    return load()
  } catch (cause) {
    const [why = ''] = errorText(cause).split('\n')
    return new Error(`koffi cannot be loaded: ${why}`, { cause })
  }
}

/** Errors: whatever keeps the library from being loaded on this machine. */
export function loadLibc(): Libc {
  const ffi = createRequire(import.meta.url)('koffi') as Koffi
  const lib = ffi.load(null) // the C library is part of every process
  const iovec = ffi.struct({ base: 'void *', length: 'size_t' })
  const msghdr = ffi.struct({
    name: 'void *',
    nameLength: 'uint32',
    iov: ffi.pointer(iovec),
    iovLength: 'size_t',
    control: 'void *',
    controlLength: 'size_t',
    flags: 'int',
  })
  const socket = lib.func('socket', 'int', ['int', 'int', 'int'])
  const sendmsg = lib.func('sendmsg', 'int64', ['int', ffi.pointer(msghdr), 'int'])
  const close = lib.func('close', 'int', ['int'])
  const prctl = lib.func('prctl', 'int', ['int', 'ulong', 'ulong', 'ulong', 'ulong'])
  const check = (call: string, result: number): number => {
    if (result >= 0) return result
    const number = ffi.errno()
    const code = Object.entries(ffi.os.errno).find(([, value]) => value === number)?.[0] ?? `errno ${number}`
    throw Object.assign(new Error(`${call}: ${code}`), { code })
  }
  return {
    sendDescriptors(socketName, text, fds) {
      const name = socketAddress(socketName)
      const control = fds.length === 0 ? null : rights(fds)
      const base = Buffer.from(text)
      const message = {
        ...{ name, nameLength: name.length, control, controlLength: control?.length ?? 0, flags: 0 },
        ...{ iov: [{ base, length: base.length }], iovLength: 1 },
      }
      const sender = check('socket', socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0))
      try {
        check('sendmsg', sendmsg(sender, message, 0))
      } finally {
        close(sender)
      }
    },
    prctl(option, argument) {
      check('prctl', prctl(option, argument, 0, 0, 0))
    },
  }
}

function socketAddress(name: string): Buffer {
  const path = Buffer.from(name)
  if (path.length > SUN_PATH_SIZE - 1) throw new RangeError(`the name of a socket is too long: ${name}`)
  const isAbstract = name.startsWith('@')
  const address = Buffer.alloc(2 + path.length + (isAbstract ? 0 : 1))
  address.writeUInt16LE(AF_UNIX)
  path.copy(address, 2)
  if (isAbstract) address[2] = 0
  return address
}

/** One struct cmsghdr that carries descriptors. */
function rights(fds: readonly number[]): Buffer {
  const length = CMSG_HEADER_SIZE + fds.length * FD_SIZE
  const control = Buffer.alloc(Math.ceil(length / WORD_SIZE) * WORD_SIZE)
  control.writeBigUInt64LE(BigInt(length))
  control.writeInt32LE(SOL_SOCKET, 8)
  control.writeInt32LE(SCM_RIGHTS, 12)
  for (const [at, fd] of fds.entries()) control.writeInt32LE(fd, CMSG_HEADER_SIZE + at * FD_SIZE)
  return control
}
