import { sleep, type Clock } from '../clock.ts'
import { kindOf, type ObjectKind } from '../wire/object-id.ts'
import { Opcode } from '../wire/sd-proto.ts'
import { oidOf, type Request } from './request.ts'
import { seededRandom } from './random.ts'

/**
 * What happens to a request instead of, or beside, being served: the connection is cut before or after it was executed; it
 * is never executed and never answered; somebody snapshots its VDI before it is executed; it waits; it gets this result
 * without being executed.
 */
export type FaultAction =
  'drop-before' | 'drop-after' | 'silence' | 'snapshot' | { readonly delayMs: number } | { readonly result: number }

/** Which requests get a fault. */
export interface FaultRule {
  readonly action: FaultAction
  /** Only this operation. */
  readonly opcode?: number
  /** Only requests on objects of this kind. */
  readonly kind?: ObjectKind
  /** Matching requests that pass first. Default 0. */
  readonly skip?: number
  /** Matching requests that get the fault, once the first ones have passed. Default: all. */
  readonly count?: number
  /** Chance of each of them, 0 to 1. Default 1. */
  readonly probability?: number
}

/** Decides about one request. It may take its time, and send requests of its own. */
export type FaultHook = (request: Request) => Promise<FaultAction | undefined>

/** The faults of a lamb. Everything may be changed while it runs; what is set here concerns requests that come later. */
export class Faults {
  /** Every request waits a random time up to this, before it is executed. */
  delayMs = 0
  /** Answers are held until this many wait, or a few ms have passed, and leave in random order. */
  reorder = 0
  /** Failed reads carry as many meaningless bytes as were asked for, as those of erasure-coded objects always do. */
  errorPayload = false
  /** Answers leave in pieces of this size; 0: whole. */
  pieceBytes = 0
  /** Pause between pieces. */
  pieceDelayMs = 0
  /** Nothing is answered, and nothing executed. */
  isSilent = false
  /** Members of the cluster are missing: WAIT_FOR_JOIN to all but a few operations. */
  isWaitingForJoin = false
  /** How long objects without references stay. */
  removalDelayMs = 0
  /** How long a snapshot takes between reading and rewriting the inode; index updates in that time are lost. */
  snapshotPauseMs = 0
  /** Asked before the rules. */
  before: FaultHook | undefined
  readonly random: () => number
  readonly #clock: Clock
  readonly #rules: { rule: FaultRule; seen: number }[] = []

  constructor(clock: Clock, seed: number) {
    this.#clock = clock
    this.random = seededRandom(seed)
  }

  /** False while requests are served without a detour. */
  get isActive(): boolean {
    return this.#rules.length > 0 || this.before !== undefined || this.delayMs > 0 || this.isSilent
  }

  addRule(rule: FaultRule): void {
    this.#rules.push({ rule, seen: 0 })
  }

  clearRules(): void {
    this.#rules.length = 0
  }

  /** The action of the first rule that fires. */
  matchRule(request: Request): FaultAction | undefined {
    if (this.isSilent) return 'silence'
    return this.#rules.find((entry) => this.#fires(entry, request))?.rule.action
  }

  /** Lets the time pass that a request has to wait. */
  async delay(action: FaultAction | undefined): Promise<void> {
    const ownMs = typeof action === 'object' && 'delayMs' in action ? action.delayMs : 0
    const ms = ownMs + this.random() * this.delayMs
    if (ms > 0) await sleep(this.#clock, ms)
  }

  /** Lets the time pass in which a snapshot can overwrite index updates; at least one turn of the event loop. */
  async pauseInSnapshot(): Promise<void> {
    await sleep(this.#clock, this.snapshotPauseMs)
  }

  #fires(entry: { rule: FaultRule; seen: number }, request: Request): boolean {
    const { opcode, kind, skip = 0, count = Infinity, probability = 1 } = entry.rule
    if (opcode !== undefined && opcode !== request.opcode) return false
    if (kind !== undefined && !(isObjectOperation(request.opcode) && kindOf(oidOf(request)) === kind)) return false
    entry.seen++
    return entry.seen > skip && entry.seen <= skip + count && (probability >= 1 || this.random() < probability)
  }
}

/** Operations whose header names an object. */
function isObjectOperation(opcode: number): boolean {
  return opcode <= Opcode.DISCARD_OBJ || opcode === Opcode.FLUSH_VDI || opcode === Opcode.EXIST
}
