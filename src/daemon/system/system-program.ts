import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { SheepfsError, errorText } from '../../errors.ts'

/** Where the system's own programs are: what the caller's PATH holds must not decide what root runs. */
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
/** Programs speak English, and see nothing else of the environment. */
export const SYSTEM_ENVIRONMENT = { PATH: SYSTEM_PATH, LC_ALL: 'C' }

/** How long a program may take to end that is told to: one that waits for a cluster cannot. */
const END_LIMIT_MS = 5000

/**
 * Runs a program of the system to its end and resolves with what it printed. It speaks English, and sees nothing else of
 * the environment. Errors: not-supported when it is not installed; io, with what it complained of on one line; closed
 * when `signal` aborted it, and it has ended, or does not: what it is there for may be done all the same.
 */
export async function runSystemProgram(
  program: string,
  args: readonly string[],
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<string> {
  checkGoesOn(signal)
  const child = spawn(program, args, { env: SYSTEM_ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] })
  const aborted = failLate(signal, () => child.kill())
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => {
      reject(new SheepfsError('not-supported', `${program} cannot be run: ${errorText(cause)}`, { cause }))
    })
    child.once('close', resolve)
  })
  if (child.pid === undefined) await ended // it has no streams then
  const output = Promise.all([ended, text(child.stdout), text(child.stderr)])
  const [status, stdout, stderr] = await Promise.race([output, aborted])
  if (status === 0) return stdout
  checkGoesOn(signal)
  throw new SheepfsError('io', oneLine(stderr) || `${program} ended with ${String(child.signalCode ?? status)}`)
}

function checkGoesOn(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new SheepfsError('closed', 'interrupted')
}

/** Calls `end` when `signal` aborts, and rejects when that has had its time; never resolves. */
function failLate(signal: AbortSignal | undefined, end: () => void): Promise<never> {
  return new Promise((_, reject) => {
    const onAbort = (): void => {
      end()
      setTimeout(() => {
        reject(new SheepfsError('closed', 'interrupted'))
      }, END_LIMIT_MS).unref()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** The advice that mount(8) adds after its message is left out. */
export function oneLine(complaint: string): string {
  const [first = ''] = complaint.trim().split(/\n\s*dmesg\(1\)/)
  return first.replaceAll(/\s+/g, ' ').trim()
}
