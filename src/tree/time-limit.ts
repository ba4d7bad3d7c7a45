import type { Clock, Timer } from '../clock.ts'
import { SheepfsError } from '../errors.ts'

export interface TimeLimit {
  readonly clock: Clock
  readonly ms: number
  /** For the message: "the list of VDIs". */
  readonly what: string
}

/** What `promise` gives, or timeout after the limit. The work behind it goes on, and its outcome is dropped. */
export async function withinTime<T>(promise: Promise<T>, { clock, ms, what }: TimeLimit): Promise<T> {
  let timer: Timer | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = clock.after(ms, () => {
      reject(new SheepfsError('timeout', `the cluster did not answer in time for ${what}`))
    })
  })
  try {
    return await Promise.race([promise, limit])
  } finally {
    timer?.cancel()
  }
}
