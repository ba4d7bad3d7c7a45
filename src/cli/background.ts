import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { BackgroundReport, SheepfsRequest } from '../daemon/standalone/sheepfs-process.ts'
import { fromWireError } from '../daemon/wire-error.ts'

const PROCESS = new URL('../daemon/standalone/background-process.js', import.meta.url)

/**
 * Starts the mount in a process of its own, which logs through logger(1), and resolves when it serves. Errors: why it does
 * not; nothing is left of it then.
 */
export async function startInBackground(request: SheepfsRequest): Promise<void> {
  const logger = spawn('logger', ['--tag', 'sheepfs', '--priority', 'daemon.info'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  logger.once('error', () => undefined) // no syslog here: what it would have logged is lost
  const child = spawn(process.execPath, [PROCESS.pathname, JSON.stringify(request)], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', logger.pid === undefined ? 'ignore' : logger.stdin, 'ipc'],
  })
  try {
    const report = await firstReport(child)
    if (report.kind === 'failed') throw fromWireError(report.error)
  } finally {
    if (child.connected) child.disconnect()
    child.unref()
    logger.stdin.destroy()
    logger.unref()
  }
}

async function firstReport(child: ChildProcess): Promise<BackgroundReport> {
  const exited = once(child, 'exit').then(([code, signal]: unknown[]): BackgroundReport => {
    const message = `the process in the background ended with ${String(signal ?? code)}`
    return { kind: 'failed', error: { code: 'io', message } }
  })
  const reported = once(child, 'message').then(([message]) => message as BackgroundReport)
  return Promise.race([reported, exited])
}
