import { SheepfsError } from '../errors.ts'
import type { ObjectKind } from '../wire/object-id.ts'
import { Opcode, Result } from '../wire/sd-proto.ts'
import type { FaultAction, FaultRule } from './faults.ts'

const OBJECT_KINDS = [
  'data',
  'inode',
  'btree',
  'ledger',
  'attribute',
  'vmstate',
] as const satisfies readonly ObjectKind[]

/** Reads the value of --fault, `ACTION[,key=value]…`. Errors: `invalid`, naming the part. */
export function parseRule(text: string): FaultRule {
  const [action = '', ...conditions] = text.split(',')
  const rule: { -readonly [K in keyof FaultRule]: FaultRule[K] } = { action: parseAction(action) }
  for (const condition of conditions) {
    const [key, value = ''] = condition.split('=')
    if (key === 'op') rule.opcode = named(Opcode, value, '--fault op')
    else if (key === 'kind') rule.kind = parseKind(value)
    else if (key === 'skip' || key === 'count') rule[key] = parseInteger(`fault ${key}`, value)
    else if (key === 'probability') rule.probability = parseProbability(value)
    else throw new SheepfsError('invalid', `--fault ${text}: expected op=, kind=, skip=, count= or probability=`)
  }
  return rule
}

function parseAction(text: string): FaultAction {
  if (text === 'drop-before' || text === 'drop-after' || text === 'silence' || text === 'snapshot') return text
  if (text.startsWith('delay=')) return { delayMs: parseInteger('fault delay', text.slice(6)) }
  if (text.startsWith('result=')) return { result: named(Result, text.slice(7), '--fault result') }
  throw new SheepfsError(
    'invalid',
    `--fault ${text}: expected drop-before, drop-after, silence, snapshot, delay=MS or result=NAME`,
  )
}

function parseProbability(text: string): number {
  const probability = text === '' ? NaN : Number(text)
  if (probability >= 0 && probability <= 1) return probability
  throw new SheepfsError('invalid', `--fault probability=${text}: expected a number from 0 to 1`)
}

function parseKind(value: string): ObjectKind {
  const kind = OBJECT_KINDS.find((known) => known === value)
  if (kind) return kind
  throw new SheepfsError('invalid', `--fault kind=${value}: expected one of ${OBJECT_KINDS.join(', ')}`)
}

function named(table: Readonly<Record<string, number>>, name: string, option: string): number {
  const value = table[name]
  if (value !== undefined) return value
  throw new SheepfsError('invalid', `${option}=${name}: expected one of ${Object.keys(table).join(', ')}`)
}

/** A whole number of at most ten digits. Errors: `invalid`, naming the option. */
export function parseInteger(option: string, text: string): number {
  if (/^\d{1,10}$/.test(text)) return Number(text)
  throw new SheepfsError('invalid', `--${option} ${text}: expected a whole number`)
}
