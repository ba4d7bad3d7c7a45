import { spawn } from 'node:child_process'
import { errorText, SheepfsError } from '../errors.ts'

/** How a program ended. */
export interface ProgramResult {
  readonly isSuccess: boolean
  /** What it wrote to stderr, on one line. */
  readonly complaint: string
}

/**
 * Runs a program of the system with messages in English. `inherit` becomes its descriptors from 3. Errors: not-supported when
 * it cannot be started.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  inherit: readonly number[] = [],
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: { ...process.env, LC_ALL: 'C' },
      stdio: ['ignore', 'ignore', 'pipe', ...inherit],
    })
    let complaint = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint += text))
    child.once('error', (error) => {
      reject(new SheepfsError('not-supported', `${program} cannot be run: ${errorText(error)}`, { cause: error }))
    })
    child.once('close', (code) => {
      resolve({ isSuccess: code === 0, complaint: complaint.trim().replaceAll(/\s+/g, ' ') })
    })
  })
}
