import { closeSync, constants, openSync } from 'node:fs'
import { errorText, SheepfsError } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Device } from './device.ts'
import { loadPoller, PolledDevice } from './polled-device.ts'
import { ThreadpoolDevice } from './threadpool-device.ts'

const PATH = '/dev/fuse'

/**
 * Opens /dev/fuse, not yet mounted, in the mode that `serveDevice` needs. Errors: not-supported, not-permitted (and why).
 */
export async function openDevice(): Promise<number> {
  const nonBlocking = (await loadPoller()) === undefined ? 0 : constants.O_NONBLOCK
  try {
    return openSync(PATH, constants.O_RDWR | nonBlocking)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENXIO') {
      throw new SheepfsError('not-supported', `${PATH} is missing: load the kernel module (modprobe fuse)`, {
        cause: error,
      })
    }
    throw new SheepfsError('not-permitted', `${PATH} cannot be opened: ${errorText(error)}`, { cause: error })
  }
}

/** The device behind an open descriptor, read as fast as this installation can. */
export async function serveDevice(fd: number, log: Logger): Promise<Device> {
  const Poller = await loadPoller()
  if (Poller !== undefined) return new PolledDevice(fd, Poller)
  log.warn('@serialport/bindings-cpp has no binary for this platform: requests take a slower way')
  return new ThreadpoolDevice(fd)
}

/** Closes a descriptor of `openDevice`. The last one of a mount aborts it. */
export function closeDevice(fd: number): void {
  closeSync(fd)
}
