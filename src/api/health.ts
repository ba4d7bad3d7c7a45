import type { MountState } from './schema/mount.ts'
import type { Health, Status } from './schema/status.ts'

const HEALTH_OF_STATE = {
  serving: 'ok',
  starting: 'starting',
  waiting: 'degraded',
  restarting: 'degraded',
  stopping: 'degraded',
  failed: 'failed',
} as const satisfies Record<MountState, Health['status']>

const WORST_FIRST = ['failed', 'starting', 'degraded'] as const

/**
 * The health of an instance: that of its worst mount, and failed when a file system on a volume is dead. A mount that is added
 * at run time holds up nobody but who adds it.
 */
export function healthOf({
  state,
  mounts,
  dead_file_systems: dead = [],
}: Pick<Status, 'state' | 'mounts' | 'dead_file_systems'>): Health {
  const healths = mounts.map((mount) => {
    const health = HEALTH_OF_STATE[mount.state]
    return health === 'starting' && !mount.configured ? 'degraded' : health
  })
  const worst = dead.length > 0 ? 'failed' : WORST_FIRST.find((health) => healths.includes(health))
  const own = state === 'starting' && worst !== 'failed' ? 'starting' : undefined
  return {
    status: own ?? worst ?? 'ok',
    mounts: mounts.map(({ name, state, reason }) => ({ name, state, reason })),
    dead_file_systems: dead,
  }
}
