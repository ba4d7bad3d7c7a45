import { ok, problem, warning, type Finding } from './finding.ts'

/** What the kernel says of itself. */
export interface KernelFacts {
  /** uname -r. */
  readonly release: string
  /** A number below /proc/sys/fs/fuse; undefined when this kernel has no such setting. */
  readonly fuseSetting: (name: string) => number | undefined
}

type Version = readonly [major: number, minor: number]

/** FUSE_NOTIFY_RESEND. */
const RESEND: Version = [6, 9]
/** FUSE_MAX_PAGES: requests beyond 128 KiB. */
const LARGE_REQUESTS: Version = [4, 20]
/** Pages of the largest request that is served. */
const WANTED_PAGES = 256

/** Looks at the kernel: what it can do, and settings that would abort mounts. */
export function checkKernel(facts: KernelFacts): Finding[] {
  const version = versionOf(facts.release)
  return [
    isAtLeast(version, RESEND)
      ? ok('kernel', `Linux ${facts.release}: mounts survive a crash or restart of their worker`)
      : warning('kernel', `Linux ${facts.release}: a mount does not survive its worker`, 'use Linux 6.9 or later'),
    isAtLeast(version, LARGE_REQUESTS)
      ? checkPages(facts.fuseSetting('max_pages_limit'))
      : warning('request size', `Linux ${facts.release} sends requests of 128 KiB only`, 'use Linux 4.20 or later'),
    ...['default_request_timeout', 'max_request_timeout'].map((name) => checkTimeout(name, facts.fuseSetting(name))),
  ]
}

function checkPages(limit: number | undefined): Finding {
  if (limit === undefined || limit >= WANTED_PAGES) return ok('request size', 'requests of 1 MiB are possible')
  const mend = `sysctl -w fs.fuse.max_pages_limit=${WANTED_PAGES}`
  return warning('request size', `fs.fuse.max_pages_limit is ${limit}: requests are small and slow`, mend)
}

/**
 * The kernel aborts a whole mount when one request takes longer; a cluster that is away takes as long as it takes
 * (docs/fuse-kernel-protocol.md#11).
 */
function checkTimeout(name: string, seconds: number | undefined): Finding {
  const check = `fs.fuse.${name}`
  if (seconds === undefined || seconds === 0) return ok(check, 'no time limit of the kernel aborts mounts')
  return problem(check, `the kernel aborts a mount when a request takes ${seconds} s`, `sysctl -w ${check}=0`)
}

function versionOf(release: string): Version {
  const [major = 0, minor = 0] = release.split(/[^\d]/).map(Number)
  return [major, minor]
}

function isAtLeast(version: Version, wanted: Version): boolean {
  return version[0] > wanted[0] || (version[0] === wanted[0] && version[1] >= wanted[1])
}
