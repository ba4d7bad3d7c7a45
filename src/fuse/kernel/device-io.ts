import { readSync, write, writeSync } from 'node:fs'
import type { DeviceEnd } from './device.ts'

/** One read of the device; retries what the kernel means to be retried. */
export function receiveFrom(fd: number, into: Uint8Array): number | DeviceEnd {
  for (;;) {
    try {
      return readSync(fd, into, 0, into.length, null)
    } catch (error) {
      const end = readOutcome(error)
      if (end !== 'retry') return end
    }
  }
}

/**
 * What a failed read of the device means (docs/fuse-kernel-protocol.md#11); throws the error itself when it means a
 * defect.
 */
export function readOutcome(error: unknown): 0 | 'retry' | DeviceEnd {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EAGAIN') return 0
  if (code === 'EINTR' || code === 'ENOENT') return 'retry' // ENOENT: the request was withdrawn while it was being read
  if (code === 'ENODEV') return 'unmounted'
  if (code === 'ECONNABORTED') return 'aborted'
  throw error
}

/** One message to the kernel. */
export function sendTo(fd: number, message: Uint8Array): void {
  try {
    writeSync(fd, message)
  } catch (error) {
    if (!isMoot(error)) throw error
  }
}

/** The same from a thread of libuv's pool, so that a kernel that makes it wait stops nothing else. */
export function sendAsideTo(fd: number, message: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    write(fd, message, (error) => {
      if (error === null || isMoot(error)) resolve()
      else reject(error)
    })
  })
}

/**
 * Nobody waits for the reply, the inode is in no cache, or the mount is gone (docs/fuse-kernel-protocol.md#2, #10, #11).
 */
function isMoot(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code
  return code === 'ENOENT' || code === 'ENODEV' || code === 'ECONNABORTED' || code === 'ENOTCONN' || code === 'EPERM'
}
