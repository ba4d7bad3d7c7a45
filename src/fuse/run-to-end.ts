import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** A service manager sends one SIGTERM; more come from somebody who means it. */
const TRIES = 10

interface Ended {
  readonly signal?: NodeJS.Signals | null
  /** By the time limit. */
  readonly killed?: boolean
}

/**
 * Runs a program with messages in English and resolves with what it printed when it has succeeded. One that is ended by SIGTERM runs again: a
 * service manager that stops a service sends it to all processes there, also to those that the service runs in order to
 * stop. What it does must allow that. Errors: those of execFile.
 */
export async function runToEnd(program: string, args: readonly string[], limitMs: number): Promise<string> {
  const options = { timeout: limitMs, env: { ...process.env, LC_ALL: 'C' } }
  for (let tries = 1; ; tries++) {
    try {
      const { stdout } = await promisify(execFile)(program, args, options)
      return stdout
    } catch (error) {
      const { signal, killed } = error as Ended
      if (signal !== 'SIGTERM' || killed === true || tries === TRIES) throw error
    }
  }
}
