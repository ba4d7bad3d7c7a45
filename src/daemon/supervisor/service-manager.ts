import { createRequire } from 'node:module'
import { errorText, plainLine } from '../../errors.ts'
import type { Logger } from '../../log.ts'
import { notifyProgram } from './notify-program.ts'

/** What is used of the package sd-notify, which has no types. */
interface SdNotify {
  /** Any state of sd_notify(3), lines of KEY=VALUE. */
  sendState(text: string): void
}

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

/** The service manager that started this process (NOTIFY_SOCKET). */
export function connectServiceManager(log: Logger): ServiceManager {
  if (process.env['NOTIFY_SOCKET'] === undefined) return NOBODY
  const send = loadSender(log)
  const timeoutMs = Number(process.env['WATCHDOG_USEC'] ?? 0) / 1000
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

/** sd-notify is compiled for one version of Node.js: after an upgrade of that it is a program that tells systemd. */
function loadSender(log: Logger): (state: string) => void {
  try {
    const notify = createRequire(import.meta.url)('sd-notify') as SdNotify
    return (state) => {
      notify.sendState(state)
    }
  } catch (error) {
    log.info(`systemd is told through systemd-notify: the module sd-notify cannot be loaded (${errorText(error)})`)
    return notifyProgram(log)
  }
}
