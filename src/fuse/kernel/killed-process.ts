import { readFile, readdir } from 'node:fs/promises'

/** Of SigPnd and ShdPnd in /proc/PID/status: bit 8 is signal 9. */
const SIGKILL_PENDING = 0x100
/** PF_EXITING (linux/sched.h) in field 9 of /proc/PID/stat. */
const EXITING = 0x4

/**
 * Whether a task, by the id of its thread, is being killed: it will never see what a system call gives it. A signal that
 * ends a process counts as SIGKILL does (the kernel makes it one), one that dumps core does not. False for a process that
 * cannot be seen: of another pid name space, or in a /proc mounted with hidepid.
 *
 * Reads in threads of the pool: to look at a process that ends at that moment can mean to end its memory in its stead
 * (mmput), and with it to wait for its asynchronous requests, which only this process can answer.
 */
export async function isBeingKilled(tid: number): Promise<boolean> {
  const status = await readFile(`/proc/${tid}/status`, 'latin1').catch(() => '')
  const pending = status.matchAll(/^(?:SigPnd|ShdPnd):\t[0-9a-f]*([0-9a-f]{8})$/gm)
  for (const [, low = ''] of pending) if ((parseInt(low, 16) & SIGKILL_PENDING) !== 0) return true
  const process = /^Tgid:\t(\d+)$/m.exec(status)?.[1]
  return process !== undefined && !status.includes('VmSize:') && isExiting(process)
}

/**
 * Whether all of a process is ending: it has taken its signal, given up its memory and waits for its asynchronous requests
 * (exit_aio). A thread alone may end and leave such a request to the others.
 */
async function isExiting(pid: string): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`).catch((): string[] => [])
  for (const tid of tasks) if (((await flagsOf(`/proc/${pid}/task/${tid}/stat`)) & EXITING) === 0) return false
  return tasks.length > 0
}

async function flagsOf(stat: string): Promise<number> {
  const text = await readFile(stat, 'latin1').catch(() => undefined)
  if (text === undefined) return EXITING // it has ended
  return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[6]) // a name may hold blanks and parentheses
}
