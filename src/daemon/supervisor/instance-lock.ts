import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSheepfsError, SheepfsError } from '../../errors.ts'
import { checkTrusted } from '../config/trusted-path.ts'
import { HeldProgram } from '../system/held-program.ts'

/** A predecessor that was killed, or has just ended, lets go within this. */
const PATIENCE_S = 5

/** Signals that end a service reach this program too: it goes with its stdin, and only then. */
const HOLD = `trap '' INT TERM HUP; exec 9>>"$1" && flock --timeout "$2" 9 && echo "$3" >"$1" && echo locked && exec cat >/dev/null`

/** The right to serve the mounts of an instance, or to take them away: one process has it, and a killed one no more. */
export interface InstanceLock {
  release(): Promise<void>
}

/** `directory`: of the instance; it is made. Errors: busy, saying who has it; not-permitted, io. */
export async function takeInstanceLock(instance: string, directory: string): Promise<InstanceLock> {
  await mkdir(directory, { recursive: true, mode: 0o755 })
  await checkTrusted(directory)
  const file = join(directory, 'lock')
  const args = ['-c', HOLD, 'sh', file, String(PATIENCE_S), String(process.pid)]
  return HeldProgram.start('sh', args, new AbortController().signal).catch(async (cause: unknown) => {
    if (!isSheepfsError(cause, 'io') || !cause.message.endsWith('has ended')) throw cause
    const pid = (await readFile(file, 'utf8').catch(() => '')).trim()
    throw new SheepfsError('busy', `instance "${instance}" has a daemon already: pid ${pid}`, { cause })
  })
}
