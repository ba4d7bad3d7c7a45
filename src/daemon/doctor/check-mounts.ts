import { ok, problem, warning, type Finding } from './finding.ts'

/** A mount of type fuse.sheepfs in the mount table. */
export interface MountFacts {
  readonly mountpoint: string
  /** Its directory in /sys/fs/fuse/connections. */
  readonly connection: number
  /** Requests without an answer, twice within some time; undefined when this user cannot see them. */
  readonly waiting: readonly [number, number] | undefined
  /** A running daemon says that it is its mount. */
  readonly isOwned: boolean
  /** stat(2) of the mountpoint says ENOTCONN: nobody serves it any more. */
  readonly isDead: boolean
}

/** A loop device over a volume that nobody can serve any more. */
export interface DeadLoopFacts {
  readonly device: string
  readonly file: string
  /** Where file systems on it are mounted. */
  readonly mountpoints: readonly string[]
  /** Devices over it, by name. */
  readonly holders: readonly string[]
}

/** Looks for mounts that nobody serves, for file systems on their volumes, and for those that do not answer. */
export function checkMounts(mounts: readonly MountFacts[], loops: readonly DeadLoopFacts[]): Finding[] {
  const findings = [
    ...mounts.flatMap((mount) => [...checkDead(mount), ...checkWaiting(mount)]),
    ...loops.map(checkLoop),
  ]
  return findings.length > 0 ? findings : [ok('mounts', `${mounts.length} of sheepfs, none stale or stuck`)]
}

function checkDead({ mountpoint, isDead }: MountFacts): Finding[] {
  if (!isDead) return []
  return [problem('stale mount', `${mountpoint}: nobody serves it any more`, `umount ${mountpoint}`)]
}

function checkLoop({ device, file, mountpoints, holders }: DeadLoopFacts): Finding {
  const where = `${device} over ${file}: nobody can serve it any more`
  const release = [...holders.map((name) => `take down ${name}`), `losetup --detach ${device}`]
  if (mountpoints.length === 0) {
    const mend = `${release.join('; ')}; it goes when the last program that uses it has ended`
    return warning('dead loop device', where, mend)
  }
  const unmount = mountpoints.map((mountpoint) => `umount -l ${mountpoint}`)
  const mend = [...unmount, ...release, 'mount it again'].join('; ')
  return problem('dead file system', `${mountpoints.join(', ')} on ${where}`, mend)
}

function checkWaiting({ mountpoint, connection, waiting, isOwned }: MountFacts): Finding[] {
  if (waiting === undefined) {
    const mend = 'run doctor as root; mount -t fusectl none /sys/fs/fuse/connections'
    return [warning('waiting requests', `${mountpoint}: cannot be seen by this user`, mend)]
  }
  const [before, after] = waiting
  if (before === 0 || after === 0) return []
  const detail = `${mountpoint}: ${after} requests wait for an answer`
  if (isOwned) return [warning('waiting requests', detail, 'sheepfsctl status tells whether the cluster is away')]
  const abort = `end them with: echo 1 > /sys/fs/fuse/connections/${connection}/abort; umount ${mountpoint}`
  return [problem('stuck mount', `${detail}, and no running daemon says it is its own`, abort)]
}
