import { createRequire } from 'node:module'
import { errorText } from '../errors.ts'
import { type Logger } from '../log.ts'

/** What is used of the package sd-notify, which has no types. */
interface SdNotify {
  ready(): void
  sendStatus(text: string): void
  /** Any state of sd_notify(3), lines of KEY=VALUE. */
  sendState(text: string): void
  watchdog(): void
  /** Milliseconds of WatchdogSec=; 0 without one. */
  watchdogInterval(): number
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
  const notify = loadSdNotify(log)
  if (!notify) return NOBODY
  const timeoutMs = Number(process.env['WATCHDOG_USEC'] ?? 0) / 1000
  return {
    ready: () => {
      notify.ready()
    },
    status: (text) => {
      notify.sendStatus(text)
    },
    reloading: () => {
      const monotonicUsec = process.hrtime.bigint() / 1000n
      notify.sendState(`RELOADING=1\nMONOTONIC_USEC=${monotonicUsec}\n`)
    },
    stopping: () => {
      notify.sendState('STOPPING=1\n')
    },
    watchdog: () => {
      notify.watchdog()
    },
    watchdogIntervalMs: timeoutMs > 0 ? timeoutMs / 3 : undefined,
  }
}

function loadSdNotify(log: Logger): SdNotify | undefined {
  try {
    return createRequire(import.meta.url)('sd-notify') as SdNotify
  } catch (error) {
    log.error(`systemd cannot be told that the service is ready: sd-notify is not usable (${errorText(error)})`)
    return undefined
  }
}
