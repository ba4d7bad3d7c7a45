import { SheepfsError } from '../../errors.ts'
import type { WorkerAccount } from '../config/worker-account.ts'

/**
 * Gives up root for good; descriptors that are open stay usable (the device of a mount needs no privilege). Errors:
 * not-permitted, where root is that of a user name space which does not have this account.
 */
export function become({ name, uid, gid }: WorkerAccount): void {
  try {
    process.setgroups?.([])
    process.setgid?.(gid)
    process.setuid?.(uid)
  } catch (cause) {
    const expected = 'expected a user of this user name space in SHEEPFS_WORKER_USER'
    throw new SheepfsError('not-permitted', `root cannot become "${name}": ${expected}`, { cause })
  }
}
