import { printable } from './printable.ts'

/** What pino writes: `hostname` and the rest of the fields are of whoever logged. */
interface LogRecord {
  readonly time?: string
  readonly level?: string
  readonly name?: string
  readonly pid?: number
  readonly mount?: string
  readonly msg?: string
  readonly err?: { readonly type?: string; readonly message?: string; readonly stack?: string }
}

const OWN = new Set(['time', 'level', 'name', 'pid', 'hostname', 'mount', 'msg', 'err'])

/**
 * A logged object as a line for people: what happened, then what else is known of it. A defect has its stack below.
 * `hasHead`: with time, severity, program and process in front.
 */
export function logText(json: string, { hasHead }: { readonly hasHead: boolean }): string {
  const record = JSON.parse(json) as LogRecord
  const { time = '', level = '', name = '', pid = 0, mount, msg = '' } = record
  const head = hasHead ? `${time} ${level.toUpperCase().padEnd(5)} ${name}[${pid}]: ` : ''
  const subject = mount === undefined ? '' : `mount ${mount}: `
  const details = Object.entries(record)
    .filter(([key]) => !OWN.has(key))
    .map(([key, value]) => ` ${key}=${valueText(value)}`)
  return printable(`${head}${subject}${msg}${details.join('')}${errorText(record.err)}\n`)
}

function errorText(error: LogRecord['err']): string {
  if (error === undefined) return ''
  const { type, message = '', stack = '' } = error
  const frames = type === 'SheepfsError' ? '' : stack.split('\n').slice(1).join('\n')
  return `: ${message}${frames === '' ? '' : `\n${frames}`}`
}

function valueText(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value)
}
