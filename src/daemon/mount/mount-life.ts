import { SheepfsError } from '../../errors.ts'
import { earlyDeaths, FEW_DEATHS, LONGEST_PAUSE_MS, pauseAfter } from './restart-policy.ts'

/*
 * The life of a mount: what happens next, and what is to be done about it. Pure: `step` does nothing, the effects are done
 * by `MountPerformer`, which tells of their outcome in events.
 */

export type LifeState =
  | 'idle' // nothing is mounted: not begun, or the start has failed
  | 'making' // it is being mounted
  | 'opening' // its first worker does not serve yet
  | 'serving'
  | 'handing-over' // the worker finishes what it has begun, for its successor
  | 'orphaned' // no worker serves it; the next one is due after a pause
  | 'renewing' // it is made ready for another worker
  | 'succeeding' // a successor does not serve yet
  | 'looking' // its worker has said that it is over, and gone: was it unmounted, or aborted?
  | 'unmounting'
  | 'unmaking' // not wanted any more while something is done to it that cannot be cut off: ended after that
  | 'closing' // it is over in the kernel; its worker closes the volumes
  | 'cutting' // that has taken too long: its worker is killed
  | 'dropping' // nobody serves it any more; the device is let go of
  | 'leaving' // the worker finishes what it has begun, for a successor of this process
  | 'left' // mounted, and kept for a successor of this process
  | 'ended'

/** One mount's life up to now. A value: `step` makes the next one. */
export interface Life {
  readonly state: LifeState
  /** Of the mount, for messages. */
  readonly name: string
  /** Why it does not serve; undefined where that needs no reason. */
  readonly reason: string | undefined
  /** Of the process that is there, whatever it does now: it has said that it serves, or not. */
  readonly worker: 'none' | 'starting' | 'serving'
  /** The present worker has said that its mount is over; without that its end is a crash. */
  readonly isOver: boolean
  /** What the present worker, or the start, has failed with. */
  readonly failure: SheepfsError | undefined
  /** A worker has died that did not close its volumes: the cluster may hold locks for it. */
  readonly owes: boolean
  /** The device outlives its worker, and the kernel sends a successor what the worker had not answered. */
  readonly canSucceed: boolean
  /** Workers in a row that died soon after their start. */
  readonly deaths: number
  /** Attempts to unmount that are under way. */
  readonly stops: number
  /** One of them is by force: somebody does not wait. */
  readonly isForced: boolean
  /** This process ends, and leaves the mount to a successor unless that attempt to unmount it succeeds. */
  readonly isLeaving: boolean
  /** What follows once the device is let go of. */
  readonly afterDrop: 'idle' | 'renewing' | 'ended'
}

export const NEW_LIFE: Life = {
  state: 'idle',
  name: '',
  reason: undefined,
  worker: 'none',
  isOver: false,
  failure: undefined,
  owes: false,
  canSucceed: false,
  deaths: 0,
  stops: 0,
  isForced: false,
  isLeaving: false,
  afterDrop: 'ended',
}

/** `id` tells which of several callers waits. */
export type LifeEvent =
  /** Mount, and serve. */
  | { readonly kind: 'start' }
  /** A predecessor of this process has left it mounted: serve it. */
  | { readonly kind: 'adopt' }
  /** Put another worker under it. */
  | { readonly kind: 'restart'; readonly id: number }
  /** Unmount; with `force` also when it is in use, and whatever that costs. */
  | { readonly kind: 'stop'; readonly id: number; readonly force: boolean }
  /** This process ends, and a successor serves on what outlives it. */
  | { readonly kind: 'leave' }
  | { readonly kind: 'made'; readonly outlivesWorker: boolean }
  | { readonly kind: 'not-made'; readonly error: SheepfsError }
  | { readonly kind: 'renewed' }
  | { readonly kind: 'not-renewed'; readonly error: SheepfsError }
  | { readonly kind: 'serves'; readonly canResend: boolean }
  /** The worker has given no sign of life for too long, or has taken too much memory; from its start on. */
  | { readonly kind: 'stuck' }
  /**
   * The worker says that its mount is over, or why it cannot serve it; its process ends next. `isHandedOver`: its volumes
   * stay locked, for a successor; otherwise they are closed.
   */
  | { readonly kind: 'over'; readonly isHandedOver: boolean; readonly error: SheepfsError | undefined }
  /** The worker's process is gone. */
  | { readonly kind: 'gone'; readonly how: string; readonly livedMs: number }
  | { readonly kind: 'due' }
  | { readonly kind: 'seen'; readonly isMounted: boolean }
  | { readonly kind: 'unmounted' }
  | { readonly kind: 'not-unmounted'; readonly id: number; readonly error: SheepfsError }
  /** What was to be waited for with a limit has not come. */
  | { readonly kind: 'late' }
  | { readonly kind: 'dropped' }

export type LifeEffect =
  /** Mount: `made` or `not-made`. */
  | { readonly kind: 'make' }
  /** As it is, or made anew where the kernel cannot send requests again: `renewed` or `not-renewed`. */
  | { readonly kind: 'renew' }
  /** `serves`, `over`, `gone`. */
  | { readonly kind: 'start-worker' }
  /** A worker that serves nothing: it takes over what a dead one had locked, gives it back and ends: `over`, `gone`. */
  | { readonly kind: 'start-closer' }
  /** The worker answers what it has, and ends: `over`, `gone`; `late` when it takes too long. */
  | { readonly kind: 'hand-over' }
  /** A worker that does not serve yet gives back what it has locked, and ends: `gone`. */
  | { readonly kind: 'abandon' }
  /** `gone`. */
  | { readonly kind: 'kill' }
  /** `due` after that time. */
  | { readonly kind: 'pause'; readonly ms: number }
  | { readonly kind: 'end-pause' }
  /** Is it in the mount table? `seen`. */
  | { readonly kind: 'look' }
  /** `unmounted` or `not-unmounted`. */
  | { readonly kind: 'unmount'; readonly id: number; readonly force: boolean }
  /** All that waits in it fails, and all that follows. */
  | { readonly kind: 'abort' }
  /** `late` when the worker has not gone in time; a later limit replaces this one. */
  | { readonly kind: 'limit'; readonly force: boolean }
  /** Take it away and let go of the device: `dropped`. */
  | { readonly kind: 'drop' }
  /** Tells who waits for the mount to serve. */
  | { readonly kind: 'served' }
  | { readonly kind: 'not-served'; readonly error: SheepfsError }
  /** Tells all who wait for its end. */
  | { readonly kind: 'stopped'; readonly error: SheepfsError | undefined }
  /** Tells one who has asked for something that is not done. */
  | { readonly kind: 'refuse'; readonly id: number; readonly error: SheepfsError }
  /** Tells who ends this process that a successor may come, and all others that it is over here. */
  | { readonly kind: 'left'; readonly error: SheepfsError }

export interface Step {
  readonly life: Life
  readonly effects: readonly LifeEffect[]
}

type EventOf<K extends LifeEvent['kind']> = Extract<LifeEvent, { kind: K }>
type Entry<K extends LifeEvent['kind']> = (life: Life, event: EventOf<K>) => Step
type Entries = { readonly [K in LifeEvent['kind']]?: Entry<K> }

/** What happens next. An event that cannot come in this state is an error of the program, and thrown. */
export function step(life: Life, event: LifeEvent): Step {
  const entry = TABLE[life.state][event.kind] as Entry<LifeEvent['kind']> | undefined
  if (!entry) throw new Error(`the event "${event.kind}" cannot come to a mount that is ${life.state}`)
  return entry(life, event)
}

function go(life: Life, state: LifeState, change: Partial<Life>, ...effects: readonly LifeEffect[]): Step {
  return { life: { ...life, state, ...change }, effects }
}

function stay(life: Life, change: Partial<Life> = {}, ...effects: readonly LifeEffect[]): Step {
  return { life: { ...life, ...change }, effects }
}

function closed({ name }: Life, why: string): SheepfsError {
  return new SheepfsError('closed', `mount "${name}" ${why}`)
}

const TAKEN_OVER = 'taken over from the daemon before'

const wasStopped = (life: Life): SheepfsError => closed(life, 'was stopped before it served')

/** The worker's last words, for all states that hear of its end in "gone". */
const noteOver: Entry<'over'> = (life, { error, isHandedOver }) =>
  stay(life, { isOver: error === undefined && !isHandedOver, failure: error })

const killStuck = (life: Life): Step => stay(life, {}, { kind: 'kill' })

const isIgnored = (life: Life): Step => stay(life)

/** Nothing more is done here. */
function leave(life: Life, state: 'left' | 'ended', ...before: readonly LifeEffect[]): Step {
  return go(life, state, {}, ...before, { kind: 'left', error: closed(life, 'is left to the next daemon') })
}

const refuseStop =
  (why: string): Entry<'stop'> =>
  (life, { id }) =>
    stay(life, {}, { kind: 'refuse', id, error: new SheepfsError('busy', `mount "${life.name}" ${why}`) })

const refuseRestart =
  (why: string): Entry<'restart'> =>
  (life, { id }) =>
    stay(life, {}, { kind: 'refuse', id, error: closed(life, why) })

/** The mount goes; `afterDrop` follows. */
function drop(life: Life, afterDrop: Life['afterDrop'], change: Partial<Life>, ...before: readonly LifeEffect[]): Step {
  return go(life, 'dropping', { afterDrop, isOver: false, ...change }, ...before, { kind: 'drop' })
}

/** Ends it in the kernel; the worker that is there closes the volumes, or is not to be waited for. */
function endNow(life: Life, worker: 'abandon' | 'kill'): Step {
  const change = { owes: true, deaths: 0, reason: undefined }
  return go(life, 'closing', change, { kind: 'abort' }, { kind: worker }, { kind: 'limit', force: true })
}

/** Nobody is there who would close the volumes. What cannot be given back stays owed, to a later life of the mount. */
function end(life: Life, ...before: readonly LifeEffect[]): Step {
  if (!life.owes || life.deaths > FEW_DEATHS) return drop(life, 'ended', { reason: undefined }, ...before)
  return giveBack(life, true, ...before)
}

/** `force`: somebody waits for the end, and not for the locks. */
function giveBack(life: Life, force: boolean, ...before: readonly LifeEffect[]): Step {
  const change = { worker: 'starting', isOver: false, failure: undefined, reason: undefined } as const
  return go(life, 'closing', change, ...before, { kind: 'start-closer' }, { kind: 'limit', force })
}

/** The worker of a mount that was to go on is gone. */
const mourn: Entry<'gone'> = (life, { how, livedMs }) => {
  if (life.isOver) return go(life, 'looking', { worker: 'none' }, { kind: 'look' })
  const deaths = earlyDeaths(life.deaths, livedMs)
  const reason = life.failure?.message ?? `the worker ended with ${how}`
  const change = { worker: 'none', isOver: false, failure: undefined, owes: true, deaths, reason } as const
  return go(life, 'orphaned', change, { kind: 'pause', ms: pauseAfter(deaths) })
}

function succeed(life: Life): Step {
  return go(life, 'succeeding', { worker: 'starting', isOver: false, failure: undefined }, { kind: 'start-worker' })
}

const serve: Entry<'serves'> = (life, { canResend }) => {
  const change = {
    worker: 'serving',
    reason: undefined,
    owes: false,
    canSucceed: life.canSucceed && canResend,
  } as const
  return go(life, 'serving', change, { kind: 'served' })
}

/** What nobody serves, and its successor will, is not unmounted: it would wait for answers. By force it is aborted. */
const stopUnserved =
  (end: (life: Life) => Step): Entry<'stop'> =>
  (life, { id, force }) => {
    if (force || !life.canSucceed) return end(life)
    const why = life.reason === undefined ? '' : `: ${life.reason}`
    const text = `mount "${life.name}" has no worker now${why}; what it has not flushed waits`
    return stay(life, {}, { kind: 'refuse', id, error: new SheepfsError('busy', text) })
  }

/** It could not be unmounted. */
const goOn: Entry<'not-unmounted'> = (life, { id, error }) => {
  const refusal = { kind: 'refuse', id, error } as const
  const stops = life.stops - 1
  if (stops > 0) return stay(life, { stops }, refusal)
  if (life.worker === 'serving') return go(life, 'serving', { stops }, refusal)
  if (life.worker === 'starting') return go(life, 'succeeding', { stops }, refusal)
  if (life.isOver) return go(life, 'looking', { stops }, refusal, { kind: 'look' })
  const isDue = life.canSucceed && !life.failure // after a pause that runs already
  return go(life, 'orphaned', { stops }, refusal, ...(isDue ? [] : [{ kind: 'pause', ms: 0 } as const]))
}

/** The parts of the table. Every state has every event that can come; all others are refused. */
const TABLE: Readonly<Record<LifeState, Entries>> = {
  idle: {
    start: (life) => go(life, 'making', { reason: undefined, failure: undefined }, { kind: 'make' }),
    adopt: (life) => go(life, 'renewing', { canSucceed: true, owes: true, reason: TAKEN_OVER }, { kind: 'renew' }),
    stop: (life, { force }) =>
      life.owes
        ? giveBack(life, force)
        : go(life, 'ended', { reason: undefined }, { kind: 'stopped', error: undefined }),
    restart: refuseRestart('is not mounted'),
    leave: (life) => leave(life, 'ended'),
  },

  making: {
    made: (life, { outlivesWorker }) =>
      go(life, 'opening', { canSucceed: outlivesWorker, worker: 'starting', isOver: false }, { kind: 'start-worker' }),
    'not-made': (life, { error }) => go(life, 'idle', { reason: error.message }, { kind: 'not-served', error }),
    stop: (life) => go(life, 'unmaking', {}),
    restart: refuseRestart('is being made'),
    leave: (life) => go(life, 'unmaking', {}),
  },

  opening: {
    serves: serve,
    over: noteOver,
    stuck: killStuck,
    gone: (life, { how }) => {
      const failure = life.failure ?? new SheepfsError('io', `the worker ended with ${how}`)
      const change = { worker: 'none', owes: !life.failure, failure, reason: failure.message } as const
      return drop(life, 'idle', change, { kind: 'abort' })
    },
    // a first worker has locks that nobody else knows of
    stop: (life) => endNow(life, 'abandon'),
    restart: refuseRestart('does not serve yet'),
    leave: (life) => endNow(life, 'abandon'),
  },

  serving: {
    over: noteOver,
    gone: mourn,
    stuck: killStuck,
    restart: (life, { id }) => {
      if (life.canSucceed)
        return go(life, 'handing-over', { reason: 'restarted on demand', deaths: 0 }, { kind: 'hand-over' })
      const error = new SheepfsError(
        'not-supported',
        `mount "${life.name}" cannot have another worker while it is mounted`,
      )
      return stay(life, {}, { kind: 'refuse', id, error })
    },
    stop: (life, { id, force }) =>
      go(life, 'unmounting', { stops: 1, isForced: force }, { kind: 'unmount', id, force }),
    leave: (life) => go(life, 'leaving', {}, { kind: 'hand-over' }),
  },

  'handing-over': {
    over: isIgnored, // as it was asked to
    gone: (life) => go(life, 'renewing', { worker: 'none', owes: true }, { kind: 'renew' }),
    late: (life) => stay(life, {}, { kind: 'kill' }),
    stuck: isIgnored,
    restart: isIgnored,
    stop: stopUnserved((life) => endNow(life, 'kill')),
    leave: (life) => go(life, 'leaving', {}),
  },

  orphaned: {
    due: (life) => go(life, 'renewing', {}, { kind: 'renew' }),
    restart: (life) => go(life, 'renewing', { deaths: 0 }, { kind: 'end-pause' }, { kind: 'renew' }),
    stop: stopUnserved((life) => end(life, { kind: 'end-pause' }, { kind: 'abort' })),
    leave: (life) => leave(life, 'left', { kind: 'end-pause' }),
  },

  renewing: {
    renewed: succeed,
    'not-renewed': (life, { error }) =>
      go(life, 'orphaned', { reason: error.message, deaths: FEW_DEATHS + 1 }, { kind: 'pause', ms: LONGEST_PAUSE_MS }),
    restart: isIgnored,
    stop: stopUnserved((life) => go(life, 'unmaking', {})),
    leave: (life) => go(life, 'leaving', {}),
  },

  succeeding: {
    serves: serve,
    over: noteOver,
    gone: mourn,
    stuck: killStuck,
    restart: isIgnored,
    stop: stopUnserved((life) => endNow(life, 'kill')),
    leave: (life) => go(life, 'leaving', {}, { kind: 'kill' }),
  },

  looking: {
    seen: (life, { isMounted }) =>
      isMounted
        ? drop(life, 'renewing', { reason: 'aborted from outside: made anew, open files fail' })
        : drop(life, 'ended', { reason: 'unmounted from outside' }),
    restart: refuseRestart('has ended'),
    stop: (life) => go(life, 'unmaking', { reason: undefined }),
    leave: (life) => go(life, 'unmaking', { reason: undefined }),
  },

  unmounting: {
    unmounted: (life) =>
      life.worker !== 'none'
        ? go(
            life,
            'closing',
            { owes: true, deaths: 0, reason: undefined, stops: 0 },
            { kind: 'limit', force: life.isForced },
          )
        : end({ ...life, stops: 0 }, { kind: 'end-pause' }),
    'not-unmounted': (life, event) => {
      const next = goOn(life, event)
      if (!life.isLeaving) return next
      const after = step(next.life, { kind: 'leave' })
      return { ...after, effects: [...next.effects, ...after.effects] }
    },
    over: noteOver,
    serves: (life) => stay(life, { worker: 'serving' }),
    stuck: killStuck,
    // unmounting may wait for answers: somebody has to give them
    gone: (life, { how, livedMs }) => {
      if (life.isOver || (life.failure && life.worker === 'serving')) return stay(life, { worker: 'none' })
      const deaths = earlyDeaths(life.deaths, livedMs)
      const reason = `the worker ended with ${how}`
      const change = { worker: 'none', owes: true, deaths, failure: undefined, reason } as const
      return stay(life, change, life.canSucceed ? { kind: 'pause', ms: pauseAfter(deaths) } : { kind: 'abort' })
    },
    due: (life) => stay(life, { worker: 'starting', failure: undefined }, { kind: 'start-worker' }),
    restart: refuseRestart('is being stopped'),
    stop: (life, { id, force }) =>
      stay(life, { stops: life.stops + 1, isForced: life.isForced || force }, { kind: 'unmount', id, force }),
    leave: (life) => stay(life, { isLeaving: true }),
  },

  unmaking: {
    made: (life) => end(life, { kind: 'abort' }),
    'not-made': (life) =>
      go(life, 'ended', {}, { kind: 'not-served', error: wasStopped(life) }, { kind: 'stopped', error: undefined }),
    renewed: (life) => end(life, { kind: 'abort' }),
    'not-renewed': (life) => end(life, { kind: 'abort' }),
    seen: (life) => end(life),
    restart: refuseRestart('is being stopped'),
    stop: isIgnored,
    leave: isIgnored,
  },

  closing: {
    serves: isIgnored,
    stuck: isIgnored,
    over: noteOver,
    gone: (life) => end({ ...life, worker: 'none', owes: !life.isOver && !life.failure, deaths: life.deaths + 1 }),
    late: (life) => go(life, 'cutting', {}, { kind: 'kill' }),
    unmounted: isIgnored, // another attempt, that came later
    'not-unmounted': isIgnored,
    restart: refuseRestart('is being stopped'),
    stop: (life, { force }) => stay(life, {}, ...(force ? [{ kind: 'limit', force } as const] : [])),
    leave: isIgnored,
  },

  cutting: {
    serves: isIgnored,
    stuck: isIgnored,
    over: noteOver,
    gone: (life) => drop(life, 'ended', { worker: 'none', owes: !life.isOver && !life.failure }),
    unmounted: isIgnored,
    'not-unmounted': isIgnored,
    restart: refuseRestart('is being stopped'),
    stop: isIgnored,
    leave: isIgnored,
  },

  dropping: {
    dropped: (life) => {
      const { afterDrop, failure } = life
      if (afterDrop === 'renewing') return go(life, 'renewing', {}, { kind: 'renew' })
      if (afterDrop === 'ended') {
        const error = life.failure
        return go(
          life,
          'ended',
          { failure: undefined },
          { kind: 'not-served', error: wasStopped(life) },
          { kind: 'stopped', error },
        )
      }
      return go(life, 'idle', { failure: undefined }, { kind: 'not-served', error: failure ?? wasStopped(life) })
    },
    unmounted: isIgnored,
    'not-unmounted': isIgnored,
    restart: refuseRestart('has ended'),
    stop: (life) => stay(life, { afterDrop: 'ended' }),
    leave: (life) => stay(life, { afterDrop: 'ended' }),
  },

  leaving: {
    over: isIgnored,
    stuck: isIgnored,
    serves: isIgnored,
    gone: (life) => leave({ ...life, worker: 'none' }, 'left'),
    late: (life) => stay(life, {}, { kind: 'kill' }),
    renewed: (life) => leave(life, 'left'),
    'not-renewed': (life) => leave(life, 'left'),
    restart: refuseRestart('is left to the next daemon'),
    stop: refuseStop('is left to the next daemon'),
    leave: isIgnored,
  },

  left: {
    restart: refuseRestart('is left to the next daemon'),
    stop: refuseStop('is left to the next daemon'),
    leave: isIgnored,
  },

  ended: {
    start: ({ name, owes }) => go({ ...NEW_LIFE, name, owes }, 'making', {}, { kind: 'make' }),
    unmounted: isIgnored,
    'not-unmounted': isIgnored,
    restart: refuseRestart('has ended'),
    stop: (life) => stay(life, {}, { kind: 'stopped', error: undefined }),
    leave: (life) => leave(life, 'ended'),
  },
}
