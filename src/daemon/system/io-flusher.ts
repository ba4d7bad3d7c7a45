import { readFileSync } from 'node:fs'
import { errorText } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Libc } from './libc.ts'

const PR_SET_IO_FLUSHER = 57
const CAP_SYS_RESOURCE = 24n

/**
 * Tells the kernel that this process, and all that it starts from now on, writes what others wait for: when memory is short it
 * is not to wait for that itself (docs/fuse-kernel-protocol.md#14). Needs CAP_SYS_RESOURCE: without that the C library is not
 * loaded for it. Call before anything is started.
 */
export function becomeIoFlusher(getLibc: () => Libc | undefined, log: Logger, capabilities = ownCapabilities()): void {
  try {
    if (((capabilities >> CAP_SYS_RESOURCE) & 1n) === 0n) throw new Error('not permitted')
    getLibc()?.prctl(PR_SET_IO_FLUSHER, 1)
  } catch (error) {
    const advice = 'give the unit CAP_SYS_RESOURCE, or no memory limit that it shares with those who write to volumes'
    log.warn(
      `workers may wait for the memory that they are to free (PR_SET_IO_FLUSHER: ${errorText(error)}): ${advice}`,
    )
  }
}

/** Those in effect, a bit each (capabilities(7)). */
function ownCapabilities(): bigint {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return BigInt(`0x${mask}`)
}
