import { createRequire } from 'node:module'
import { pino, type Logger } from 'pino'
import type * as Pretty from 'pino-pretty'

export type { Logger }

/** Severities, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/**
 * The logger of a process, writing to stderr at once (a crash loses nothing): one readable line per event on a terminal,
 * JSON otherwise.
 */
export function createLogger(options: { name: string; level: LogLevel; pretty?: boolean }): Logger {
  const pretty = options.pretty ?? process.stderr.isTTY
  const destination = pretty
    ? loadPinoPretty()({ destination: 2, sync: true, ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss.l' })
    : pino.destination({ dest: 2, sync: true })
  return pino({ name: options.name, level: options.level }, destination)
}

/** A daemon has no terminal: it does without the memory that this takes. */
function loadPinoPretty() {
  return (createRequire(import.meta.url)('pino-pretty') as typeof Pretty).PinoPretty
}

/** A logger that drops everything. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
