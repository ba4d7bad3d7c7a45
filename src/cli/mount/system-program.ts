import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { SheepfsError, errorText } from '../../errors.ts'

/** Where the system's own programs are: what the caller's PATH holds must not decide what root runs. */
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'

/**
 * Runs a program of the system to its end and resolves with what it printed. It speaks English, and sees nothing else of
 * the environment. Errors: not-supported when it is not installed; io, with what it complained of on one line; closed
 * when `signal` aborted it.
 */
export async function runSystemProgram(
  program: string,
  args: readonly string[],
  options: { readonly signal?: AbortSignal } = {},
): Promise<string> {
  const child = spawn(program, args, {
    env: { PATH: SYSTEM_PATH, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  try {
    const [status, stdout, stderr] = await Promise.all([ended, text(child.stdout), text(child.stderr)])
    if (status === 0) return stdout
    throw new SheepfsError('io', oneLine(stderr) || `${program} ended with ${String(child.signalCode ?? status)}`)
  } catch (error) {
    throw error instanceof SheepfsError ? error : startError(program, error, options.signal)
  }
}

function startError(program: string, cause: unknown, signal: AbortSignal | undefined): SheepfsError {
  if (signal?.aborted === true) return new SheepfsError('closed', 'interrupted', { cause })
  return new SheepfsError('not-supported', `${program} cannot be run: ${errorText(cause)}`, { cause })
}

/** The advice that mount(8) adds after its message is left out. */
function oneLine(complaint: string): string {
  const [first = ''] = complaint.trim().split(/\n\s*dmesg\(1\)/)
  return first.replaceAll(/\s+/g, ' ').trim()
}
