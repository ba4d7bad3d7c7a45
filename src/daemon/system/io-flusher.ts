import { readFileSync } from 'node:fs'
import type { Lack } from '../../api/schema/status.ts'
import { errorText } from '../../errors.ts'
import type { Libc } from './libc.ts'

const PR_SET_IO_FLUSHER = 57
const CAP_SYS_RESOURCE = 24n

/**
 * Tells the kernel that this process, and all that it starts from now on, writes what others wait for: when memory is short it
 * is not to wait for that itself (docs/fuse-kernel-protocol.md#14). Needs CAP_SYS_RESOURCE: without that the C library is not
 * loaded for it. Call before anything is started. Returns what is missing; undefined when nothing is.
 */
export function becomeIoFlusher(getLibc: () => Libc, capabilities = ownCapabilities()): Lack | undefined {
  try {
    if (((capabilities >> CAP_SYS_RESOURCE) & 1n) === 0n) throw new Error('EPERM, without CAP_SYS_RESOURCE')
    getLibc().prctl(PR_SET_IO_FLUSHER, 1)
    return undefined
  } catch (error) {
    return {
      missing: `PR_SET_IO_FLUSHER: ${errorText(error)}`,
      matters:
        'workers may wait for ever for the memory that they are to free, where those who write to volumes share a memory limit with them',
      mend: 'give the service CAP_SYS_RESOURCE and koffi, or no memory limit that it shares with those who write to volumes',
    }
  }
}

/** Those in effect, a bit each (capabilities(7)). */
function ownCapabilities(): bigint {
  const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return BigInt(`0x${mask}`)
}
