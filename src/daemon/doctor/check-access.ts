import { ok, problem, type Finding } from './finding.ts'

/** What this user may do. */
export interface AccessFacts {
  readonly isRoot: boolean
  /** How /dev/fuse can be opened. */
  readonly device: 'usable' | 'forbidden' | 'missing'
  /** A fusermount of that name is in the path. */
  readonly hasFusermount: boolean
  /** /etc/fuse.conf has user_allow_other. */
  readonly allowsOther: boolean
  /** Some mount of the configuration wants it. */
  readonly wantsAllowOther: boolean
  /** The user that workers run as, and whether the system knows it. */
  readonly workerUser: { readonly name: string; readonly exists: boolean }
}

/** Looks at what mounting needs. */
export function checkAccess(facts: AccessFacts): Finding[] {
  return [checkDevice(facts), ...(facts.isRoot ? [checkWorkerUser(facts)] : checkFusermount(facts))]
}

function checkDevice({ device }: AccessFacts): Finding {
  if (device === 'usable') return ok('/dev/fuse', 'can be opened')
  if (device === 'missing')
    return problem('/dev/fuse', 'is missing', 'modprobe fuse; in a container, pass the device in')
  return problem('/dev/fuse', 'may not be opened by this user', 'run the daemon as root, or chmod 666 /dev/fuse')
}

function checkWorkerUser({ workerUser: { name, exists } }: AccessFacts): Finding {
  if (exists) return ok('worker user', `workers can run as ${name}`)
  const mend = `useradd --system --no-create-home --shell /usr/sbin/nologin ${name}`
  return problem('worker user', `there is no user ${name}: the daemon would not start`, mend)
}

function checkFusermount({ hasFusermount, allowsOther, wantsAllowOther }: AccessFacts): Finding[] {
  const findings = [
    hasFusermount
      ? ok('fusermount', 'is installed: this user can mount')
      : problem('fusermount', 'is not installed: only root can mount', 'apt install fuse3'),
  ]
  if (wantsAllowOther && !allowsOther) {
    const mend = 'add the line "user_allow_other" to /etc/fuse.conf, or run the daemon as root'
    findings.push(problem('allow_other', 'is for root only here', mend))
  }
  return findings
}
