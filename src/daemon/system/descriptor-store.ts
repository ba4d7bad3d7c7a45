import type { Lack } from '../../api/schema/status.ts'
import { errorText } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Libc } from './libc.ts'

/** Descriptors handed to a service start here (sd_listen_fds(3)). */
const FIRST_INHERITED = 3

/**
 * Where descriptors outlive this process: the service manager keeps them while the service is restarted, whatever ended it,
 * and hands them to the next process (sd_pid_notify_with_fds(3)).
 */
export interface DescriptorStore {
  /** Why nothing outlives this process; undefined where it does. */
  readonly lack: Lack | undefined
  /** Keeps copies of descriptors under a name that nothing has yet: of ASCII characters, and no ":". */
  keep(name: string, fds: readonly number[]): void
  /** Lets go of what is kept under the name. */
  drop(name: string): void
}

/** Where nothing outlives this process, and why. */
function noStore(lack: Lack | undefined): DescriptorStore {
  return { lack, keep: () => undefined, drop: () => undefined }
}

/** Why a service manager keeps nothing for a daemon; undefined where it does. `room`: how many descriptors it takes. */
export function storeLack({ hasManager, room, getLibc }: StoreFacts): Lack | undefined {
  const lack = (missing: string, mend: string): Lack => ({
    missing,
    matters: 'mounts, and all that is open in them, end with the daemon when it is killed, restarted or upgraded',
    mend,
  })
  if (!hasManager) return lack('systemd has not started the daemon', 'systemctl start sheepfs@NAME')
  if (room === 0)
    return lack('the unit has no FileDescriptorStoreMax=', 'take the unit of the package, sheepfs@.service')
  try {
    getLibc()
    return undefined
  } catch (error) {
    return lack(errorText(error), 'npm install koffi, where sheepfs is installed')
  }
}

interface StoreFacts {
  readonly hasManager: boolean
  readonly room: number
  readonly getLibc: () => Libc
}

/** The service manager's store, at its socket. `room`: how many descriptors it takes. */
export function openDescriptorStore(
  socket: string | undefined,
  room: number,
  { getLibc, log }: { readonly getLibc: () => Libc; readonly log: Logger },
): DescriptorStore {
  const lack = storeLack({ hasManager: socket !== undefined, room, getLibc })
  if (socket === undefined || lack) return noStore(lack)
  const tell = (text: string, fds: readonly number[]): void => {
    try {
      getLibc().sendDescriptors(socket, text, fds)
    } catch (error) {
      log.error({ err: error, text }, 'the service manager could not be told of the descriptors of a mount')
    }
  }
  return {
    lack: undefined,
    keep: (name, fds) => {
      // FDPOLL=0: an aborted connection must not drop it untold
      tell(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0\n`, fds)
    },
    drop: (name) => {
      tell(`FDSTOREREMOVE=1\nFDNAME=${name}\n`, [])
    },
  }
}

/**
 * What a predecessor has left in the store, by name. Call once, at the start: the descriptors are the caller's then. Programs
 * that this process starts do not get them: Node.js has set close-on-exec for all that it found open.
 */
export function inheritedDescriptors(env: NodeJS.ProcessEnv, pid: number): ReadonlyMap<string, readonly number[]> {
  const inherited = new Map<string, readonly number[]>()
  if (env['LISTEN_PID'] !== String(pid)) return inherited
  const names = (env['LISTEN_FDNAMES'] ?? '').split(':')
  for (let at = 0; at < Number(env['LISTEN_FDS'] ?? 0); at++) {
    const name = names[at] ?? ''
    inherited.set(name, [...(inherited.get(name) ?? []), FIRST_INHERITED + at])
  }
  return inherited
}
