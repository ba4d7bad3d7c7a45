import { readFile } from 'node:fs/promises'
import { uptime } from 'node:os'

/** Who has opened a file: by now it may have ended, or given the file to others. Plain data, for a successor too. */
export interface Opener {
  /** The thread, as the kernel names it to this mount; 0: not to be seen from here. */
  readonly pid: number
  /** When it was opened, seconds since the machine was started. */
  readonly sinceS: number
}

/** What daemon/attribute-setter.ts calls itself. */
const SETTER = 'sheepfs-setter'

/** sysconf(_SC_CLK_TCK): what times in /proc are counted in, on every architecture of Linux. */
const TICKS_PER_S = 100
/** What is rounded off on the way. */
const TOLERANCE_S = 0.05

/** The thread `pid` opens a file now. */
export function openerNow(pid: number): Opener {
  return { pid, sinceS: uptime() }
}

/**
 * Whether the opener is of the process of thread `pid`, as far as this can be known: not when the thread that opened has
 * ended, whose number may be another's by now.
 */
export async function isOfProcess(opener: Opener, pid: number): Promise<boolean> {
  if (pid === 0 || opener.pid === 0) return false
  const thread = await readStat(`/proc/${pid}/task/${opener.pid}`)
  return thread !== undefined && thread.startS <= opener.sinceS + TOLERANCE_S
}

/** Whether a thread is of the process by which this one, or the daemon it belongs to, tells the kernel of sizes. */
export async function tellsSize(pid: number): Promise<boolean> {
  const found = await readStat(`/proc/${pid}`)
  return found?.name === SETTER && [process.pid, process.ppid].includes(found.parent)
}

/** What proc_pid_stat(5) tells: the name, the parent, and when it began, seconds since the machine was started. */
async function readStat(folder: string): Promise<{ name: string; parent: number; startS: number } | undefined> {
  const stat = await readFile(`${folder}/stat`, 'utf8').catch(() => undefined)
  if (stat === undefined) return undefined
  const nameEnd = stat.lastIndexOf(')') // a name may have anything in it
  const fields = stat.slice(nameEnd + 2).split(' ')
  const name = stat.slice(stat.indexOf('(') + 1, nameEnd)
  return { name, parent: Number(fields[1]), startS: Number(fields[19]) / TICKS_PER_S }
}
