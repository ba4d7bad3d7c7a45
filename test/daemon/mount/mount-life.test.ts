import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SheepfsError } from '../../../src/errors.ts'
import { type Life, type LifeEvent, type LifeState, NEW_LIFE, step } from '../../../src/daemon/mount/mount-life.ts'

const error = new SheepfsError('io', 'of the test')

/** Every event, and those whose content matters more than once. */
const EVENTS = {
  start: { kind: 'start' },
  adopt: { kind: 'adopt' },
  restart: { kind: 'restart', id: 1 },
  stop: { kind: 'stop', id: 1, force: false },
  'stop by force': { kind: 'stop', id: 1, force: true },
  leave: { kind: 'leave' },
  made: { kind: 'made', outlivesWorker: true },
  'not-made': { kind: 'not-made', error },
  renewed: { kind: 'renewed' },
  'not-renewed': { kind: 'not-renewed', error },
  serves: { kind: 'serves', canResend: true },
  stuck: { kind: 'stuck' },
  over: { kind: 'over', isHandedOver: false, error: undefined },
  gone: { kind: 'gone', how: 'SIGKILL', livedMs: 10_000 },
  due: { kind: 'due' },
  'seen mounted': { kind: 'seen', isMounted: true },
  'seen unmounted': { kind: 'seen', isMounted: false },
  unmounted: { kind: 'unmounted' },
  'not-unmounted': { kind: 'not-unmounted', id: 1, error },
  late: { kind: 'late' },
  dropped: { kind: 'dropped' },
} as const satisfies Record<string, LifeEvent>
type EventName = keyof typeof EVENTS

/** What a life in a state is like, where it matters. */
const LIVES: Readonly<Record<LifeState, Partial<Life>>> = {
  idle: {},
  making: {},
  opening: { worker: 'starting', canSucceed: true },
  serving: { worker: 'serving', canSucceed: true },
  'handing-over': { worker: 'serving', canSucceed: true },
  orphaned: { canSucceed: true, owes: true, reason: 'why' },
  renewing: { canSucceed: true, owes: true },
  succeeding: { worker: 'starting', canSucceed: true },
  looking: { canSucceed: true, isOver: true },
  unmounting: { worker: 'serving', canSucceed: true, stops: 1 },
  unmaking: {},
  closing: { worker: 'serving', canSucceed: true },
  cutting: { worker: 'serving', canSucceed: true },
  dropping: { canSucceed: true },
  leaving: { worker: 'serving', canSucceed: true },
  left: { canSucceed: true },
  ended: {},
}

function lifeIn(state: LifeState, change: Partial<Life> = {}): Life {
  return { ...NEW_LIFE, ...LIVES[state], ...change, state }
}

/** The state that follows, and the effects in their order; "-" when the event cannot come. */
function outcome(life: Life, event: LifeEvent): string {
  let next
  try {
    next = step(life, event)
  } catch {
    return '-'
  }
  return [next.life.state, ...next.effects.map(({ kind }) => kind)].join(' ')
}

/** Every pair of state and event; what is not here cannot come. */
const TABLE: Readonly<Record<LifeState, Partial<Record<EventName, string>>>> = {
  idle: {
    start: 'making make',
    adopt: 'renewing renew',
    restart: 'idle refuse',
    stop: 'ended stopped',
    'stop by force': 'ended stopped',
    leave: 'ended left',
  },
  making: {
    restart: 'making refuse',
    stop: 'unmaking',
    'stop by force': 'unmaking',
    leave: 'unmaking',
    made: 'opening start-worker',
    'not-made': 'idle not-served',
  },
  opening: {
    restart: 'opening refuse',
    stop: 'closing abort abandon limit',
    'stop by force': 'closing abort abandon limit',
    leave: 'closing abort abandon limit',
    serves: 'serving served',
    stuck: 'opening kill',
    over: 'opening',
    gone: 'dropping abort drop',
  },
  serving: {
    restart: 'handing-over hand-over',
    stop: 'unmounting unmount',
    'stop by force': 'unmounting unmount',
    leave: 'leaving hand-over',
    stuck: 'serving kill',
    over: 'serving',
    gone: 'orphaned pause',
  },
  'handing-over': {
    restart: 'handing-over',
    stop: 'handing-over refuse',
    'stop by force': 'closing abort kill limit',
    leave: 'leaving',
    stuck: 'handing-over',
    over: 'handing-over',
    gone: 'renewing renew',
    late: 'handing-over kill',
  },
  orphaned: {
    restart: 'renewing end-pause renew',
    stop: 'orphaned refuse',
    'stop by force': 'closing end-pause abort start-closer limit',
    leave: 'left end-pause left',
    due: 'renewing renew',
  },
  renewing: {
    restart: 'renewing',
    stop: 'renewing refuse',
    'stop by force': 'unmaking',
    leave: 'leaving',
    renewed: 'succeeding start-worker',
    'not-renewed': 'orphaned pause',
  },
  succeeding: {
    restart: 'succeeding',
    stop: 'succeeding refuse',
    'stop by force': 'closing abort kill limit',
    leave: 'leaving kill',
    serves: 'serving served',
    stuck: 'succeeding kill',
    over: 'succeeding',
    gone: 'orphaned pause',
  },
  looking: {
    restart: 'looking refuse',
    stop: 'unmaking',
    'stop by force': 'unmaking',
    leave: 'unmaking',
    'seen mounted': 'dropping drop',
    'seen unmounted': 'dropping drop',
  },
  unmounting: {
    restart: 'unmounting refuse',
    stop: 'unmounting unmount',
    'stop by force': 'unmounting unmount',
    leave: 'unmounting',
    serves: 'unmounting',
    stuck: 'unmounting kill',
    over: 'unmounting',
    gone: 'unmounting pause',
    due: 'unmounting start-worker',
    unmounted: 'closing limit',
    'not-unmounted': 'serving refuse',
  },
  unmaking: {
    restart: 'unmaking refuse',
    stop: 'unmaking',
    'stop by force': 'unmaking',
    leave: 'unmaking',
    made: 'dropping abort drop',
    'not-made': 'ended not-served stopped',
    renewed: 'dropping abort drop',
    'not-renewed': 'dropping abort drop',
    'seen mounted': 'dropping drop',
    'seen unmounted': 'dropping drop',
  },
  closing: {
    restart: 'closing refuse',
    stop: 'closing',
    'stop by force': 'closing limit',
    leave: 'closing',
    serves: 'closing',
    stuck: 'closing',
    over: 'closing',
    gone: 'closing start-closer limit',
    unmounted: 'closing',
    'not-unmounted': 'closing',
    late: 'cutting kill',
  },
  cutting: {
    restart: 'cutting refuse',
    stop: 'cutting',
    'stop by force': 'cutting',
    leave: 'cutting',
    serves: 'cutting',
    stuck: 'cutting',
    over: 'cutting',
    gone: 'dropping drop',
    unmounted: 'cutting',
    'not-unmounted': 'cutting',
  },
  dropping: {
    restart: 'dropping refuse',
    stop: 'dropping',
    'stop by force': 'dropping',
    leave: 'dropping',
    unmounted: 'dropping',
    'not-unmounted': 'dropping',
    dropped: 'ended not-served stopped',
  },
  leaving: {
    restart: 'leaving refuse',
    stop: 'leaving refuse',
    'stop by force': 'leaving refuse',
    leave: 'leaving',
    renewed: 'left left',
    'not-renewed': 'left left',
    serves: 'leaving',
    stuck: 'leaving',
    over: 'leaving',
    gone: 'left left',
    late: 'leaving kill',
  },
  left: { restart: 'left refuse', stop: 'left refuse', 'stop by force': 'left refuse', leave: 'left' },
  ended: {
    start: 'making make',
    restart: 'ended refuse',
    stop: 'ended stopped',
    'stop by force': 'ended stopped',
    leave: 'ended left',
    unmounted: 'ended',
    'not-unmounted': 'ended',
  },
}

describe('the life of a mount', () => {
  for (const state of Object.keys(TABLE) as LifeState[]) {
    test(`${state}: every event has its outcome, or cannot come`, () => {
      const outcomes = Object.entries(EVENTS).map(([name, event]) => [name, outcome(lifeIn(state), event)])
      const expected = Object.keys(EVENTS).map((name) => [name, TABLE[state][name as EventName] ?? '-'])
      assert.deepEqual(Object.fromEntries(outcomes), Object.fromEntries(expected))
    })
  }

  test('a worker whose mount was ended by force has less time to close its volumes', () => {
    for (const force of [false, true]) {
      const { life } = step(lifeIn('serving'), { kind: 'stop', id: 1, force })
      assert.deepEqual(step(life, { kind: 'unmounted' }).effects, [{ kind: 'limit', force }])
    }
    // whichever of several attempts comes to its end
    const { life } = step(lifeIn('unmounting'), { kind: 'stop', id: 2, force: true })
    const { life: again } = step(life, { kind: 'stop', id: 3, force: false })
    assert.deepEqual(step(again, { kind: 'unmounted' }).effects, [{ kind: 'limit', force: true }])
  })

  test('what is owed of a mount that is not there is given back, in more time unless that is forced', () => {
    for (const force of [false, true]) {
      const { life, effects } = step(lifeIn('idle', { owes: true }), { kind: 'stop', id: 1, force })
      assert.equal(life.state, 'closing')
      assert.deepEqual(effects, [{ kind: 'start-closer' }, { kind: 'limit', force }])
    }
  })
})
