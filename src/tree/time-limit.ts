import { SheepfsError } from '../errors.ts'

/**
 * What `promise` gives, or timeout after `limitMs`. The work behind it goes on, and its outcome is dropped. `what` names it in
 * the message: "the list of VDIs".
 */
export async function withinTime<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new SheepfsError('timeout', `the cluster did not answer in time for ${what}`))
    }, limitMs)
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    clearTimeout(timer)
  }
}
