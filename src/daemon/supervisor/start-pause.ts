import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { earlyDeaths, pauseAfter } from '../mount/restart-policy.ts'

/** Between tries when nobody waits for a mount that is there: whatever the start failed of takes its time. */
const NOTHING_LEFT_MS = 5000

/**
 * How long a daemon that the service manager has restarted is to wait before it begins, ms: systemd restarts it at once, so that
 * mounts which have outlived it are served again soon, whatever is wrong with it. `directory` is where the deaths in a row are
 * counted.
 */
export async function startPause(
  directory: string,
  { isRestarted, hasLeft }: { readonly isRestarted: boolean; readonly hasLeft: boolean },
): Promise<number> {
  const file = join(directory, 'early-deaths')
  const before = isRestarted ? await lastStart(file) : undefined
  const deaths = before ? earlyDeaths(before.deaths, Date.now() - before.atMs) : 0
  await writeFile(file, String(deaths)).catch(() => undefined) // without it there is less of a pause
  if (!isRestarted) return 0
  return hasLeft ? pauseAfter(deaths) : NOTHING_LEFT_MS
}

async function lastStart(file: string): Promise<{ deaths: number; atMs: number } | undefined> {
  try {
    return { deaths: Number(await readFile(file, 'utf8')) || 0, atMs: (await stat(file)).mtimeMs }
  } catch {
    return undefined
  }
}
