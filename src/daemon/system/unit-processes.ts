import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const POLL_MS = 50

/**
 * Resolves with true as soon as no process is left in the control group of this one but its parent, its children and itself;
 * with false when some are after `limitMs`. What is dead and not reaped does nothing any more.
 */
export async function untilAlone(limitMs: number): Promise<boolean> {
  const until = performance.now() + limitMs
  for (;;) {
    if (!(await hasOthers())) return true
    if (performance.now() >= until) return false
    await sleep(POLL_MS)
  }
}

async function hasOthers(): Promise<boolean> {
  const group = await readFile('/proc/self/cgroup', 'utf8')
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const others = await Promise.all(pids.map((pid) => isOther(pid, group)))
  return others.includes(true)
}

async function isOther(pid: string, group: string): Promise<boolean> {
  try {
    if ((await readFile(`/proc/${pid}/cgroup`, 'utf8')) !== group) return false
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    // the name before it may hold anything
    const [, state = '', parent] = /^.*\) (\S) (\d+) /s.exec(stat) ?? []
    const isOwn = [process.pid, process.ppid].includes(Number(pid)) || Number(parent) === process.pid
    return !isOwn && !'ZX'.includes(state)
  } catch {
    return false // it has ended
  }
}
