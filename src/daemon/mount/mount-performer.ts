import { SheepfsError, errorText, isSheepfsError } from '../../errors.ts'
import { deferred, type Deferred } from '../../fuse/kernel/deferred.ts'
import { type Life, type LifeEffect, type LifeEvent, NEW_LIFE, step } from './mount-life.ts'

/** The device of a mount, and what is mounted with it. Nothing here waits for the mount itself to answer. */
export interface MountDevice {
  /** Mounts. Resolves with whether the mount outlives its worker. Errors: those of mounting; nothing is left then. */
  make(): Promise<boolean>
  /** Makes it ready for another worker; anew where it cannot stay as it is. Errors: those of mounting. */
  renew(canSucceed: boolean): Promise<void>
  isMounted(): Promise<boolean>
  /** Errors: busy without `force`, and it goes on. */
  unmount(force: boolean): Promise<void>
  /** Makes everything in flight fail, and all that follows. Never rejects. */
  abort(): Promise<void>
  /** Takes it out of sight and lets go of the device. Never rejects. */
  drop(): Promise<void>
}

/** The process that serves a mount, for the one who started it. */
export interface MountServer {
  /** It answers what it has taken, takes no more, and ends. */
  handOver(): void
  /** It does not serve yet: it gives back what it has locked, and ends. */
  abandon(): void
  kill(): void
}

/** What a server tells. The last is `gone`, once. */
export type ServerNews = Extract<LifeEvent, { kind: 'serves' | 'stuck' | 'over' | 'gone' }>

export interface MountSurroundings {
  readonly device: MountDevice
  /**
   * Starts a server on the device as it is now, or one that only gives back what a dead one has locked. `tell` is called
   * later, never at once.
   */
  readonly startServer: (purpose: 'serve' | 'close', tell: (news: ServerNews) => void) => MountServer
  readonly name: string
  /** A predecessor of this process may have left locks. */
  readonly owes: boolean
  /** Calls `then` after that time unless what is returned was called before. */
  readonly pause: (ms: number, then: () => void) => () => void
  /** The life has come to another state, or another reason. */
  readonly onChange: (life: Life) => void
  /** Something came that cannot come: an error of the program, and nothing was done about it. */
  readonly onFlaw: (error: unknown) => void
}

type EffectOf<K extends LifeEffect['kind']> = Extract<LifeEffect, { kind: K }>

/** How long requests in flight may hold up a hand-over; the kernel sends the rest to the successor. */
const HAND_OVER_LIMIT_MS = 5000
/** How long a worker may take to close its volumes once its mount has ended. */
const CLOSE_LIMIT_MS = 30_000
/** The same when the mount was ended by force: what was to be saved has had its time. */
const FORCED_CLOSE_LIMIT_MS = 3000

/** Does what the life of a mount demands, tells it how that went, and answers those who have asked for something. */
export class MountPerformer {
  readonly #surroundings: MountSurroundings
  readonly #serving = new Set<Deferred<undefined>>()
  readonly #stopping = new Map<number, Deferred<undefined>>()
  readonly #restarting = new Map<number, Deferred<undefined>>()
  #leaving: Deferred<undefined> | undefined
  #life: Life
  #server: MountServer | undefined
  #endPause: () => void = () => undefined
  #endLimit: () => void = () => undefined
  #aborting: Promise<void> = Promise.resolve()
  #nextId = 1
  /** How often it was mounted: an attempt to unmount may end when that mount is long gone, and another one there. */
  #made = 0

  constructor(surroundings: MountSurroundings) {
    this.#surroundings = surroundings
    const { name, owes } = surroundings
    this.#life = { ...NEW_LIFE, name, owes }
  }

  get life(): Life {
    return this.#life
  }

  /** Mounts; resolves when the mount serves. Errors: why it does not; nothing is left then, and it may be tried again. */
  start(): Promise<void> {
    return this.#untilServed({ kind: 'start' })
  }

  /** Serves what a predecessor of this process has left mounted; resolves when it serves. */
  adopt(): Promise<void> {
    return this.#untilServed({ kind: 'adopt' })
  }

  /** Resolves when the mount serves the next time. Errors: why it will not. */
  served(): Promise<void> {
    const answer = deferred<undefined>()
    this.#serving.add(answer)
    return answer.promise
  }

  /** Puts another worker under the mount, and resolves when that serves. Errors: closed, not-supported. */
  restart(): Promise<void> {
    const { id, answer } = this.#ask(this.#restarting)
    this.#post({ kind: 'restart', id })
    return answer.promise
  }

  /** Unmounts. Errors: busy, and the mount goes on; with `force` it ends all the same, and what is open fails. */
  stop({ force }: { readonly force: boolean }): Promise<void> {
    const { id, answer } = this.#ask(this.#stopping)
    this.#post({ kind: 'stop', id, force })
    return answer.promise
  }

  /** Resolves when the mount is served no more, and kept for a successor of this process; or has ended. */
  leave(): Promise<void> {
    this.#leaving ??= deferred<undefined>()
    this.#post({ kind: 'leave' })
    return this.#leaving.promise
  }

  #untilServed(event: LifeEvent): Promise<void> {
    const served = this.served()
    this.#post(event)
    return served
  }

  #ask(askers: Map<number, Deferred<undefined>>): { id: number; answer: Deferred<undefined> } {
    const id = this.#nextId++
    const answer = deferred<undefined>()
    askers.set(id, answer)
    return { id, answer }
  }

  #post(event: LifeEvent): void {
    const before = this.#life
    let next
    try {
      next = step(before, event)
    } catch (error) {
      this.#surroundings.onFlaw(error)
      return
    }
    const { life, effects } = next
    this.#life = life
    for (const effect of effects) this.#perform(effect)
    if (life.state !== before.state || life.reason !== before.reason) this.#surroundings.onChange(life)
  }

  #perform<K extends LifeEffect['kind']>(effect: EffectOf<K>): void {
    this.#performs[effect.kind](effect)
  }

  readonly #performs: { readonly [K in LifeEffect['kind']]: (effect: EffectOf<K>) => void } = {
    make: () => {
      this.#made++
      this.#await(
        this.#surroundings.device.make(),
        (outlivesWorker) => ({ kind: 'made', outlivesWorker }),
        (error) => ({ kind: 'not-made', error }),
      )
    },
    renew: () => {
      this.#await(
        this.#surroundings.device.renew(this.#life.canSucceed),
        () => ({ kind: 'renewed' }),
        (error) => ({ kind: 'not-renewed', error }),
      )
    },
    look: () => {
      this.#await(
        this.#surroundings.device.isMounted(),
        (isMounted) => ({ kind: 'seen', isMounted }),
        () => ({ kind: 'seen', isMounted: true }), // what cannot be looked at is not given up
      )
    },
    unmount: ({ id, force }) => {
      const made = this.#made
      this.#await(
        this.#surroundings.device.unmount(force),
        () => (made === this.#made ? { kind: 'unmounted' } : undefined),
        (error) => (made === this.#made ? { kind: 'not-unmounted', id, error } : undefined),
      )
    },
    abort: () => {
      this.#aborting = this.#surroundings.device.abort()
    },
    drop: () => {
      const dropped = (): LifeEvent => ({ kind: 'dropped' })
      this.#await(
        this.#aborting.then(() => this.#surroundings.device.drop()),
        dropped,
        dropped,
      )
    },
    'start-worker': () => {
      this.#startServer('serve')
    },
    'start-closer': () => {
      this.#startServer('close')
    },
    'hand-over': () => {
      this.#limit(HAND_OVER_LIMIT_MS)
      this.#server?.handOver()
    },
    abandon: () => {
      this.#server?.abandon()
    },
    kill: () => {
      this.#server?.kill()
    },
    limit: ({ force }) => {
      this.#limit(force ? FORCED_CLOSE_LIMIT_MS : CLOSE_LIMIT_MS)
    },
    pause: ({ ms }) => {
      this.#endPause = this.#surroundings.pause(ms, () => {
        this.#post({ kind: 'due' })
      })
    },
    'end-pause': () => {
      this.#endPause()
    },
    served: () => {
      settleAll(this.#serving, undefined)
      settleAll(this.#restarting, undefined)
    },
    'not-served': ({ error }) => {
      settleAll(this.#serving, error)
      settleAll(this.#restarting, error)
    },
    stopped: ({ error }) => {
      settleAll(this.#stopping, error)
      this.#leaving?.resolve(undefined)
    },
    refuse: ({ id, error }) => {
      const asker = this.#stopping.get(id) ?? this.#restarting.get(id)
      this.#stopping.delete(id)
      this.#restarting.delete(id)
      asker?.reject(error)
    },
    left: ({ error }) => {
      for (const askers of [this.#serving, this.#restarting, this.#stopping]) settleAll(askers, error)
      this.#leaving?.resolve(undefined)
    },
  }

  #startServer(purpose: 'serve' | 'close'): void {
    const server = this.#surroundings.startServer(purpose, (news) => {
      if (server !== this.#server) return
      if (news.kind === 'gone') {
        this.#server = undefined
        this.#endLimit()
      }
      this.#post(news)
    })
    this.#server = server
  }

  #limit(ms: number): void {
    this.#endLimit()
    this.#endLimit = this.#surroundings.pause(ms, () => {
      this.#post({ kind: 'late' })
    })
  }

  /** Posts what became of it, if that matters still. */
  #await<T>(
    outcome: Promise<T>,
    success: (value: T) => LifeEvent | undefined,
    failure: (error: SheepfsError) => LifeEvent | undefined,
  ): void {
    const post = (event: LifeEvent | undefined): void => {
      if (event) this.#post(event)
    }
    outcome.then(
      (value) => {
        post(success(value))
      },
      (cause: unknown) => {
        post(failure(isSheepfsError(cause) ? cause : new SheepfsError('io', errorText(cause), { cause })))
      },
    )
  }
}

function settleAll(
  askers: Set<Deferred<undefined>> | Map<number, Deferred<undefined>>,
  error: SheepfsError | undefined,
): void {
  const all = [...askers.values()]
  askers.clear()
  for (const { resolve, reject } of all) {
    if (error) reject(error)
    else resolve(undefined)
  }
}
