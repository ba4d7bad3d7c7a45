import { errorText, plainLine } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import type { Libc } from '../system/libc.ts'
import { notifyProgram } from './notify-program.ts'

/** What systemd is told of the life of the daemon; without systemd nobody is told anything. */
export interface ServiceManager {
  ready(): void
  status(text: string): void
  /** A reload begins; `ready` ends it. */
  reloading(): void
  stopping(): void
  /** A sign of life. */
  watchdog(): void
  /** How often `watchdog` is to be called, ms; undefined when nobody waits for it. */
  readonly watchdogIntervalMs: number | undefined
}

const NOBODY: ServiceManager = {
  ready: () => undefined,
  status: () => undefined,
  reloading: () => undefined,
  stopping: () => undefined,
  watchdog: () => undefined,
  watchdogIntervalMs: undefined,
}

/** The service manager that started the process with this environment (NOTIFY_SOCKET). */
export function connectServiceManager(
  env: NodeJS.ProcessEnv,
  { getLibc, log }: { readonly getLibc: () => Libc; readonly log: Logger },
): ServiceManager {
  const socket = env['NOTIFY_SOCKET']
  if (socket === undefined) return NOBODY
  const send = senderTo(socket, getLibc, log)
  const timeoutMs = Number(env['WATCHDOG_USEC'] ?? 0) / 1000
  return {
    ready: () => {
      send('READY=1\n')
    },
    status: (text) => {
      send(`STATUS=${plainLine(text)}\n`) // another line would be another assignment
    },
    reloading: () => {
      const monotonicUsec = process.hrtime.bigint() / 1000n
      send(`RELOADING=1\nMONOTONIC_USEC=${monotonicUsec}\n`)
    },
    stopping: () => {
      send('STOPPING=1\n')
    },
    watchdog: () => {
      send('WATCHDOG=1\n')
    },
    watchdogIntervalMs: timeoutMs > 0 ? timeoutMs / 3 : undefined,
  }
}

/** Sends states of sd_notify(3), lines of KEY=VALUE: by itself, or through a program where there is no way to make the calls. */
function senderTo(socket: string, getLibc: () => Libc, log: Logger): (state: string) => void {
  let libc: Libc
  try {
    libc = getLibc()
  } catch (error) {
    log.info(`systemd is told through systemd-notify: ${errorText(error)}`)
    return notifyProgram(log)
  }
  return (state) => {
    try {
      libc.sendDatagram(socket, state, [])
    } catch (error) {
      log.error({ err: error, state }, 'systemd could not be told')
    }
  }
}
