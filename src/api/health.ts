import type { MountState } from './schema/mount.ts'
import type { Health, Status } from './schema/status.ts'

const HEALTH_OF_STATE = {
  serving: 'ok',
  starting: 'degraded',
  waiting: 'degraded',
  restarting: 'degraded',
  stopping: 'degraded',
  failed: 'failed',
} as const satisfies Record<MountState, Health['status']>

/** The health of an instance: that of its worst mount. */
export function healthOf({ mounts }: Status): Health {
  const healths = mounts.map((mount) => HEALTH_OF_STATE[mount.state])
  const worst = (['failed', 'degraded'] as const).find((health) => healths.includes(health))
  return { status: worst ?? 'ok', mounts: mounts.map(({ name, state, reason }) => ({ name, state, reason })) }
}
