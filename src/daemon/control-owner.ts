import type { Owner } from '../tree/owner.ts'
import type { WorkerAccount } from './config/worker-account.ts'

/**
 * Whom the control files of a tree belong to, whatever its `uid` says: the user of the supervisor, as its socket does.
 * @param account whom workers become, which only root can make them
 */
export function controlOwner(account: WorkerAccount | undefined): Owner {
  return account === undefined ? ownAccount() : { uid: 0, gid: 0 }
}

/** Who this process is. */
export function ownAccount(): Owner {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
}
