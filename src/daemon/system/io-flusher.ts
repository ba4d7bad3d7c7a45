import { errorText } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Libc } from './libc.ts'

const PR_SET_IO_FLUSHER = 57

/**
 * Tells the kernel that this process, and all that it starts from now on, writes what others wait for: when memory is short it
 * is not to wait for that itself (docs/fuse-kernel-protocol.md#14). Needs CAP_SYS_RESOURCE. Call before anything is started.
 */
export function becomeIoFlusher(libc: Libc, log: Logger): void {
  try {
    libc.prctl(PR_SET_IO_FLUSHER, 1)
  } catch (error) {
    const advice = 'give the unit CAP_SYS_RESOURCE, or no memory limit that it shares with those who write to volumes'
    log.warn(
      `workers may wait for the memory that they are to free (PR_SET_IO_FLUSHER: ${errorText(error)}): ${advice}`,
    )
  }
}
