import { execFile } from 'node:child_process'
import { SYSTEM_ENVIRONMENT } from './system-program.ts'

const LIMIT_MS = 5000

/** What a program has said. */
export interface Said {
  readonly isSuccess: boolean
  readonly output: string
  readonly complaint: string
}

/**
 * Runs a program of the system that touches what may hang, so that it hangs instead of this process. Undefined when it has not
 * ended in time: no signal reaches one that waits in the kernel, and nobody waits for it.
 */
export function askProgram(program: string, args: readonly string[]): Promise<Said | undefined> {
  return new Promise((resolve) => {
    const options = { timeout: LIMIT_MS, killSignal: 'SIGKILL', env: SYSTEM_ENVIRONMENT } as const
    const child = execFile(program, args, options, (error, output, complaint) => {
      clearTimeout(timer)
      resolve(error?.killed === true ? undefined : { isSuccess: error === null, output, complaint })
    })
    const timer = setTimeout(() => {
      child.unref()
      child.stdout?.destroy()
      child.stderr?.destroy()
      resolve(undefined)
    }, LIMIT_MS * 2)
  })
}
