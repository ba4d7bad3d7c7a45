import { plainLine, SheepfsError } from '../../errors.ts'

/**
 * Reads a value that another process has sent: gives it back, or a copy of what is known of it, with nothing else in it.
 * Errors: protocol, saying what was expected and where.
 */
export type Shape<T> = (value: unknown) => T

/** Furthest a Date reaches, ms from 1970. */
const FURTHEST_MS = 8.64e15

function shape<T>(what: string, isOne: (value: unknown) => boolean): Shape<T> {
  return (value) => {
    if (!isOne(value)) throw new SheepfsError('protocol', `expected ${what}`)
    return value as T
  }
}

function isNumber(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && value >= least && value <= most
}

export const flag = shape<boolean>('true or false', (value) => typeof value === 'boolean')
export const count = shape<number>('a count', (value) => Number.isSafeInteger(value) && (value as number) >= 0)
export const integer = shape<number>('an integer', Number.isSafeInteger)
/** Ms since 1970. */
export const time = shape<number>('a time', (value) => isNumber(value, -FURTHEST_MS, FURTHEST_MS))
/** Of any unit. */
export const duration = shape<number>('a duration', (value) => isNumber(value, 0, Number.MAX_VALUE))

/** Ms; Infinity, which is null in JSON, for ever. */
export const patience: Shape<number> = (value) => (value === null || value === Infinity ? Infinity : duration(value))

/** Nothing, for what JSON has null too. */
export const nothing: Shape<undefined> = (value) => {
  if (value !== undefined && value !== null) throw new SheepfsError('protocol', 'expected nothing')
  return undefined
}

export function text(most: number): Shape<string> {
  return shape<string>(
    `a text of at most ${most} characters`,
    (value) => typeof value === 'string' && value.length <= most,
  )
}

/** A text for people, as `plainLine` makes it. */
export const line: Shape<string> = (value) => plainLine(text(Infinity)(value))

export function pattern(what: string, expression: RegExp): Shape<string> {
  return shape<string>(what, (value) => typeof value === 'string' && expression.test(value))
}

export function oneOf<T extends string>(...words: readonly T[]): Shape<T> {
  return shape<T>(words.join(' or '), (value) => words.includes(value as T))
}

export function optional<T>(of: Shape<T>): Shape<T | undefined> {
  return (value) => (value === undefined ? undefined : of(value))
}

export function list<T>(of: Shape<T>, most: number): Shape<T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new SheepfsError('protocol', 'expected a list')
    if (value.length > most) throw new SheepfsError('protocol', `a list of ${value.length}, expected at most ${most}`)
    return value.map((item, at) => within(String(at), of, item))
  }
}

/** A list in which none has the key of another. */
export function distinct<T>(of: Shape<T[]>, keyOf: (item: T) => string): Shape<T[]> {
  return (value) => {
    const items = of(value)
    const twice = items.find((item, at) => items.findIndex((first) => keyOf(first) === keyOf(item)) < at)
    if (twice === undefined) return items
    throw new SheepfsError('protocol', `"${keyOf(twice)}" twice, expected each once`)
  }
}

/** Every key of `T` has a shape, so that none is forgotten; what is undefined is left out. */
export function object<T>(shapes: { readonly [K in keyof T]-?: Shape<T[K]> }): Shape<T> {
  const entries = Object.entries<Shape<unknown>>(shapes)
  return (value) => {
    if (typeof value !== 'object' || value === null) throw new SheepfsError('protocol', 'expected an object')
    const read: Record<string, unknown> = {}
    for (const [key, of] of entries) {
      const found = within(key, of, Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined)
      if (found !== undefined) read[key] = found
    }
    return read as T
  }
}

/** One of several kinds of message, each with the shape of the rest. */
export function message<M extends { readonly kind: string }>(
  readers: { readonly [K in M['kind']]: Shape<Omit<Extract<M, { kind: K }>, 'kind'>> },
  value: unknown,
): M {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : undefined
  if (typeof kind !== 'string' || !Object.hasOwn(readers, kind)) {
    throw new SheepfsError('protocol', 'expected a kind of message')
  }
  const read = readers[kind as M['kind']] as Shape<object>
  return { kind, ...within(kind, read, value) } as unknown as M
}

function within<T>(place: string, of: Shape<T>, value: unknown): T {
  try {
    return of(value)
  } catch (error) {
    const why = error instanceof SheepfsError ? error.message : 'it cannot be read'
    throw new SheepfsError('protocol', `${place}: ${why}`, { cause: error })
  }
}
