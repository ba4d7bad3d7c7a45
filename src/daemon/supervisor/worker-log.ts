import type { Readable } from 'node:stream'
import { plainLine } from '../../errors.ts'
import { LOG_LEVELS, type Logger } from '../../log.ts'
import { LineReader } from '../ipc/line-reader.ts'
import { restAfterWork } from '../ipc/rest-after-work.ts'

/** Of a line, bytes. */
const MOST_BYTES = 16_384
/** Of a record, besides those that all have. */
const MOST_FIELDS = 20
/** A worker that writes more lines than that is not read out: it would drown the others. */
const MOST_LINES = 1000
const SPAN_MS = 10_000

type Level = Exclude<(typeof LOG_LEVELS)[number], 'silent'>
type Fields = Readonly<Record<string, unknown>>

interface Entry {
  readonly level: Level
  readonly text: string
  readonly fields: Fields
}

/** What is known of a worker without its word, and what has places of its own. */
const NOT_TAKEN = new Set(['level', 'time', 'pid', 'hostname', 'name', 'mount', 'worker', 'msg', 'err'])

/**
 * Writes what a worker writes to stderr into the log of its supervisor, as one line of plain text each, under the mount and the
 * process that the supervisor knows: a worker that had the journal itself could write there in anybody's name.
 */
export class WorkerLog {
  readonly #log: Logger
  readonly #reader = new LineReader(MOST_BYTES)
  #lines = 0
  #dropped = 0
  #span: NodeJS.Timeout | undefined

  /** `log`: with the mount. */
  constructor(pid: number | undefined, log: Logger) {
    this.#log = log.child({ worker: pid }, { serializers: { err: (error: unknown) => error } }) // the worker has made it text
  }

  /** Reads it out until it ends. */
  read(stderr: Readable): void {
    stderr.on('data', (bytes: Buffer) => {
      restAfterWork(stderr, () => {
        for (const line of this.#reader.push(bytes)) this.#take(line)
      })
    })
    stderr.on('error', () => {
      stderr.destroy()
    })
    stderr.once('close', () => {
      for (const line of this.#reader.end()) this.#take(line)
      this.#endSpan()
    })
  }

  #take(line: string): void {
    if (line === '') return
    this.#span ??= setTimeout(() => {
      this.#endSpan()
    }, SPAN_MS)
    if (++this.#lines > MOST_LINES) {
      this.#dropped++
      return
    }
    const { level, text, fields } = entryOf(line)
    this.#log[level](fields, text)
  }

  #endSpan(): void {
    clearTimeout(this.#span)
    if (this.#dropped > 0) this.#log.warn({ lines: this.#dropped }, 'the worker logs too much: lines are left out')
    this.#lines = this.#dropped = 0
    this.#span = undefined
  }
}

/** What a line says: a record of the log of this program, or what somebody else has to complain of (V8, libfuse). */
function entryOf(line: string): Entry {
  const record = parse(line)
  const level = LOG_LEVELS.find((known): known is Level => known !== 'silent' && known === record?.['level'])
  if (!record || !level) return { level: 'warn', text: plainLine(line), fields: {} }
  const others = Object.entries(record).filter(([key]) => /^[A-Za-z_]\w{0,39}$/.test(key) && !NOT_TAKEN.has(key))
  const fields = Object.fromEntries(others.slice(0, MOST_FIELDS).map(([key, value]) => [key, plainValue(value)]))
  return { level, text: plainValueText(record['msg']), fields: { ...fields, ...errorFields(record['err']) } }
}

function parse(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

/** The stack of a defect stands beside the error, on one line. */
function errorFields(error: unknown): Fields {
  if (typeof error !== 'object' || error === null) return {}
  const { type, message, stack } = error as Fields
  const err = { type: plainValueText(type), message: plainValueText(message) }
  if (err.type === 'SheepfsError' || typeof stack !== 'string') return { err }
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line))
  return { err, stack: plainLine(frames.map((frame) => frame.trim()).join(', ')) }
}

function plainValue(value: unknown): unknown {
  return typeof value === 'number' || typeof value === 'boolean' || value === null ? value : plainValueText(value)
}

function plainValueText(value: unknown): string {
  if (value === undefined) return ''
  return plainLine(typeof value === 'string' ? value : JSON.stringify(value))
}
