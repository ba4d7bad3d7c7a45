import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino'
import { isJournal, PRIORITY, withPriority } from './journal.ts'
import { logText } from './log-text.ts'

export type { Logger }

/** Severities, least severe first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** json: an object per line, for programs; text: for people. */
export const LOG_FORMATS = ['json', 'text'] as const

export interface LoggerOptions {
  readonly name: string
  readonly level: LogLevel
  readonly format?: (typeof LOG_FORMATS)[number]
}

/**
 * The logger of a process, writing to stderr at once (a crash loses nothing): text on a terminal and in systemd's journal,
 * which gets priorities too, JSON otherwise; `format` decides, or SHEEPFS_LOG_FORMAT, where it is set.
 */
export function createLogger({ name, level, format }: LoggerOptions): Logger {
  const stderr = pino.destination({ dest: 2, sync: true })
  const toJournal = isJournal(2)
  const wanted = format ?? process.env['SHEEPFS_LOG_FORMAT']
  const isText = wanted === 'text' || (wanted !== 'json' && (toJournal || process.stderr.isTTY))
  // the journal has the time, the name and the process by itself
  const present = isText ? (line: string) => logText(line, { hasHead: !toJournal }) : (line: string) => line
  const destination: DestinationStream & { lastLevel: number } = {
    lastLevel: 0,
    write: (line) =>
      stderr.write(toJournal ? withPriority(present(line), priorityOf(destination.lastLevel)) : present(line)),
  }
  const options = {
    name,
    level,
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  return pino(options, Object.assign(destination, { [Symbol.for('pino.metadata')]: true }))
}

function priorityOf(level: number): number {
  const label = pino.levels.labels[level] as keyof typeof PRIORITY | undefined
  return PRIORITY[label ?? 'info']
}

/** A logger that drops everything. */
export function silentLogger(): Logger {
  return pino({ level: 'silent' })
}
