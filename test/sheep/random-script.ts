import { kindOf } from '../../src/wire/object-id.ts'
import { Opcode, Result } from '../../src/wire/sd-proto.ts'
import type { Random } from './random.ts'
import { LIES, type Fate, type Script } from './scripted-sheep.ts'
import type { SheepRequest } from './sheep-request.ts'

const REFUSALS = [Result.HALT, Result.WAIT_FOR_JOIN, Result.AGAIN, Result.SYSTEM_ERROR, Result.NETWORK_ERROR]
const HALF_DONE = [Result.AGAIN, Result.SYSTEM_ERROR, Result.NETWORK_ERROR]
const MISSING = [Result.NO_OBJ, Result.EIO]
/** Well below what the client waits for a lost gateway that does not answer. */
const LATEST_MS = 15

/** How often each fault befalls a request, of 1. */
export interface FaultRates {
  readonly refuse: number
  readonly missing: number
  readonly cut: number
  readonly silent: number
  readonly lie: number
}

/** Delays, reorders, cuts, lies and forgets, all at random. */
export function randomScript(random: Random, rates: FaultRates): Script {
  return (request) => {
    let dice = random.next()
    const is = (rate: number): boolean => (dice -= rate) < 0
    if (is(rates.refuse)) return refusal(random)
    if (is(rates.missing) && mayBeMissing(request)) return { kind: 'refuse', result: random.pick(MISSING) }
    if (is(rates.cut)) return cut(random)
    if (is(rates.silent)) return { kind: 'silent', execute: random.chance(0.5) }
    if (is(rates.lie)) return random.chance(0.2) ? { kind: 'twice' } : { kind: 'lie', lie: random.pick(LIES) }
    return delayed(random)
  }
}

function refusal(random: Random): Fate {
  if (random.chance(0.3)) return { kind: 'refuse', result: random.pick(HALF_DONE), execute: true }
  return { kind: 'refuse', result: random.pick(REFUSALS) }
}

function cut(random: Random): Fate {
  const execute = random.pick(['never', 'first', 'later'] as const)
  return { kind: 'cut', execute, laterMs: random.below(LATEST_MS) }
}

function delayed(random: Random): Fate {
  if (random.chance(0.6)) return { kind: 'answer' }
  return random.chance(0.5)
    ? { kind: 'answer', beforeMs: random.below(6) }
    : { kind: 'answer', afterMs: random.below(6) }
}

/** Object I/O; but a discarded object is only looked for to learn whether it is gone, and the answer is believed. */
function mayBeMissing({ opcode, oid, dataLength }: SheepRequest): boolean {
  const isObjectOp = opcode === Opcode.READ_OBJ || opcode === Opcode.WRITE_OBJ
  return isObjectOp && !(kindOf(oid) === 'data' && dataLength <= 1)
}
