import { readFile } from 'node:fs/promises'
import { runToEnd } from '../../fuse/run-to-end.ts'

/** systemd answers at once, or is not to be waited for. */
const LIMIT_MS = 10_000

/** A unit of systemd. */
export interface ServiceUnit {
  /** How many descriptors its store takes; 0: none. */
  readonly storeRoom: number
  /** How many are in it. */
  readonly stored: number
  /** How often it was restarted because it had failed, since somebody started it. */
  readonly restarts: number
  /** What systemd is doing with it, as `restart` or `stop`; undefined when nothing, or when that cannot be told. */
  readonly job: string | undefined
}

/** Asks systemd about a unit: by itself that of this process; where there is none it has no store. */
export async function readServiceUnit(name?: string): Promise<ServiceUnit> {
  const unit = name ?? (await ownUnit())
  if (unit === undefined) return { storeRoom: 0, stored: 0, restarts: 0, job: undefined }
  const [shown, jobs] = await Promise.all([
    systemctl('show', '--property=FileDescriptorStoreMax,NFileDescriptorStore,NRestarts', unit),
    systemctl('list-jobs', '--no-legend', '--plain', '--full', unit),
  ])
  const count = (property: string): number => Number(new RegExp(`^${property}=(\\d+)$`, 'm').exec(shown)?.[1] ?? 0)
  const job = jobs
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, of]) => of === unit)
  return {
    storeRoom: count('FileDescriptorStoreMax'),
    stored: count('NFileDescriptorStore'),
    restarts: count('NRestarts'),
    job: job?.[2],
  }
}

/** The service whose control group this process is in. */
async function ownUnit(): Promise<string | undefined> {
  const groups = await readFile('/proc/self/cgroup', 'utf8').catch(() => '')
  // of several hierarchies systemd has one: the unified, or that of its name
  const paths = Array.from(groups.matchAll(/^\d+:(?:name=systemd)?:(.*)$/gm), ([, path = '']) => path.split('/'))
  return paths.map((path) => path.findLast((part) => part.endsWith('.service'))).find((unit) => unit !== undefined)
}

async function systemctl(...args: readonly string[]): Promise<string> {
  try {
    return await runToEnd('systemctl', args, LIMIT_MS)
  } catch {
    return '' // no systemd runs here
  }
}
