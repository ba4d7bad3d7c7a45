import { fstatSync } from 'node:fs'
import { printable } from './printable.ts'

/** Priorities of syslog(3), as sd-daemon(3) has them at the start of a line. */
export const PRIORITY = { fatal: 2, error: 3, warn: 4, info: 6, debug: 7, trace: 7 } as const

/** Whether a descriptor leads to systemd's journal: a pipe or file that a program was given instead does not. */
export function isJournal(fd: number, stream = process.env['JOURNAL_STREAM']): boolean {
  if (stream === undefined) return false
  try {
    const { dev, ino } = fstatSync(fd)
    return stream === `${dev}:${ino}`
  } catch {
    return false // it is closed
  }
}

/** Every line with its priority, which the journal takes away again. */
export function withPriority(text: string, priority: number): string {
  return text.replace(/^(?=.|\n)/gm, `<${priority}>`)
}

/** Says on stderr why a program, or a part of it, has failed; to the journal as an error. */
export function tellError(text: string): void {
  writeError(printable(text))
}

/** The same for what may be read, and shown, as it is. */
export function writeError(text: string): void {
  process.stderr.write(isJournal(2) ? withPriority(text, PRIORITY.error) : text)
}
