import assert from 'node:assert/strict'
import { errorText, SheepfsError } from '../../../src/errors.ts'
import { MountPerformer, type MountDevice, type ServerNews } from '../../../src/daemon/mount/mount-performer.ts'
import { Random } from '../../sheep/random.ts'

/** A FUSE connection as the kernel has it: dead when it was aborted, or nobody has its descriptor. */
interface Connection {
  isMounted: boolean
  isAborted: boolean
  readonly holders: Set<Supervisor | Worker | 'store'>
}

interface Worker {
  readonly name: string
  readonly purpose: 'serve' | 'close'
  readonly connection: Connection | undefined
  readonly owner: Supervisor
  readonly tell: (news: ServerNews) => void
  state: 'starting' | 'serving' | 'ending' | 'gone'
  /** What it was asked to do by now. */
  isHandedOver: boolean
  isAbandoned: boolean
  isKilled: boolean
  /** Told, and not heard yet. */
  readonly news: ServerNews[]
}

/** One incarnation of the daemon. */
interface Supervisor {
  readonly name: string
  isAlive: boolean
  connection: Connection | undefined
  performer: MountPerformer
  /** Callers who have not been answered. */
  waiting: number
}

/** Something that may happen next. */
interface Chance {
  readonly what: string
  readonly happen: () => void
}

/** A call that has not been answered yet. */
interface Call extends Chance {
  readonly isPossible: () => boolean
}

const TROUBLES = ['crash', 'stuck', 'umount', 'abort', 'kill', 'restart service', 'busy', 'outage'] as const
const REQUESTS = ['start', 'restart', 'stop', 'force'] as const

/**
 * The surroundings of one mount: the kernel, workers, the service manager with its store of descriptors, the lock of a
 * volume, and time. What can happen next is one list, out of which one is drawn by chance.
 */
export class LifeWorld {
  readonly trace: string[] = []
  readonly #random: Random
  /** Without a service manager nothing outlives the supervisor. */
  readonly #hasStore: boolean
  /** False for an engine that mounts by itself, or an old kernel. */
  readonly #outlivesWorker: boolean
  readonly #connections = new Set<Connection>()
  readonly #workers = new Set<Worker>()
  readonly #calls = new Set<Call>()
  #stored: Connection | undefined
  /** The lock of the volume is held for this mount. */
  #isLocked = false
  /** A file is open: it can be unmounted by force alone. */
  #isBusy = false
  /** The cluster does not answer: volumes cannot be closed. */
  #isAway = false
  /** What was seen to be wrong. */
  #flaw: string | undefined
  #supervisor: Supervisor
  #count = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
    this.#hasStore = this.#random.chance(0.8)
    this.#outlivesWorker = this.#random.chance(0.85)
    this.#supervisor = this.#begin()
  }

  /** Lets things happen, then waits until nothing more does, and looks whether all is as it must be. */
  async run(): Promise<void> {
    for (let troubles = 2 + this.#random.below(8); troubles > 0; troubles--) {
      for (let steps = this.#random.below(8); steps > 0; steps--) await this.#next()
      if (this.#random.chance(0.5)) this.#request()
      else this.#trouble()
      await settle()
    }
    this.#isBusy = this.#isAway = false
    for (let steps = 0; await this.#next(); steps++) assert.ok(steps < 500, 'it does not come to rest')
    this.#checkRest()
  }

  async #next(): Promise<boolean> {
    const chances = [...this.#calls].filter((call) => call.isPossible())
    const possible: Chance[] = [...chances, ...[...this.#workers].flatMap((worker) => this.#chancesOf(worker))]
    if (possible.length === 0) return false
    const { what, happen } = this.#random.pick(possible)
    this.trace.push(what)
    happen()
    await settle()
    assert.equal(this.#flaw, undefined)
    return true
  }

  // the service manager

  #begin(): Supervisor {
    const name = `supervisor ${++this.#count}`
    const supervisor = { name, isAlive: true, connection: this.#stored, waiting: 0 } as Supervisor
    supervisor.performer = new MountPerformer({
      device: this.#device(supervisor),
      startServer: (purpose, tell) => this.#startWorker(supervisor, purpose, tell),
      name: 'm',
      owes: this.#isLocked,
      pause: (ms, then) => this.#pause(supervisor, ms, then),
      onFlaw: (error) => {
        this.#flaw = errorText(error)
      },
      onChange: ({ state, reason }) => {
        this.trace.push(`  ${name}: ${state}${reason === undefined ? '' : `: ${reason}`}`)
      },
    })
    const left = supervisor.connection
    left?.holders.add(supervisor)
    if (left && !left.isMounted) this.#release(supervisor)
    this.#ask(supervisor, left?.isMounted === true ? supervisor.performer.adopt() : supervisor.performer.start())
    return supervisor
  }

  /** All of a service that has died is gone before it is started again; what is in the store stays. */
  #succeed(): void {
    this.#supervisor.isAlive = false
    this.#supervisor.connection?.holders.delete(this.#supervisor)
    for (const worker of this.#workers) this.#die(worker, 'SIGKILL')
    this.#workers.clear()
    for (const call of this.#calls) if (!call.what.startsWith('umount')) this.#calls.delete(call)
    this.#supervisor = this.#begin()
  }

  #ask(supervisor: Supervisor, answer: Promise<void>): void {
    supervisor.waiting++
    const done = (): void => {
      supervisor.waiting--
    }
    answer.then(done, done)
  }

  #request(): void {
    const request = this.#random.pick(REQUESTS)
    const { performer } = this.#supervisor
    const { state } = performer.life
    this.trace.push(`asked to ${request}`)
    if (request === 'start') {
      if (state === 'idle' || state === 'ended') this.#ask(this.#supervisor, performer.start())
    } else {
      this.#ask(
        this.#supervisor,
        request === 'restart' ? performer.restart() : performer.stop({ force: request === 'force' }),
      )
    }
  }

  #trouble(): void {
    const trouble = this.#random.pick(TROUBLES)
    this.trace.push(`trouble: ${trouble}`)
    const served = [...this.#workers].find(({ state }) => state === 'serving')
    const connection = this.#supervisor.connection
    if (trouble === 'crash') for (const worker of this.#workers) this.#die(worker, 'SIGSEGV')
    const watched = [...this.#workers].find(({ state }) => state === 'serving' || state === 'starting')
    if (trouble === 'stuck') watched?.news.push({ kind: 'stuck' })
    if (trouble === 'umount' && connection && served && !this.#isBusy) connection.isMounted = false
    if (trouble === 'abort' && connection) connection.isAborted = true
    if (trouble === 'busy') this.#isBusy = !this.#isBusy
    if (trouble === 'outage') this.#isAway = !this.#isAway
    if (trouble === 'kill') this.#succeed()
    if (trouble === 'restart service') this.#restartService()
  }

  #restartService(): void {
    const supervisor = this.#supervisor
    if (!this.#hasStore || !supervisor.performer.life.canSucceed) return
    void supervisor.performer.leave().then(() => {
      if (supervisor === this.#supervisor) this.#succeed()
    })
  }

  // the kernel, and the programs that mount

  /** Something that takes its time. Returns what takes it back. */
  #call(supervisor: Supervisor, what: string, happen: () => void, isPossible = () => true): () => void {
    const call = {
      what: `${what} (${supervisor.name})`,
      isPossible,
      happen: () => {
        this.#calls.delete(call)
        happen()
      },
    }
    this.#calls.add(call)
    return () => this.#calls.delete(call)
  }

  /** A worker that closes volumes has the time that it takes, unless the cluster is away: what is locked then stays. */
  #pause(supervisor: Supervisor, ms: number, then: () => void): () => void {
    const isClosing = (): boolean => supervisor.performer.life.state === 'closing'
    const happen = (): void => {
      then()
    }
    return this.#call(supervisor, `${ms} ms`, happen, () => !isClosing() || this.#isAway)
  }

  #answer<T>(supervisor: Supervisor, what: string, work: () => T, isPossible?: () => boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const happen = (): void => {
        try {
          const result = work()
          if (supervisor.isAlive) resolve(result)
        } catch (error) {
          if (supervisor.isAlive) reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      this.#call(supervisor, what, happen, isPossible)
    })
  }

  #device(supervisor: Supervisor): MountDevice {
    return {
      make: () =>
        this.#answer(supervisor, 'mount', () => {
          this.#mount(supervisor)
          return this.#outlivesWorker
        }),
      renew: (canSucceed) =>
        this.#answer(supervisor, 'renew', () => {
          if (!supervisor.connection || !canSucceed) this.#mount(supervisor)
        }),
      isMounted: () => this.#answer(supervisor, 'look', () => isMounted(supervisor.connection)),
      unmount: (force) => this.#unmount(supervisor, force),
      abort: () =>
        this.#answer(supervisor, 'abort', () => {
          if (supervisor.connection) supervisor.connection.isAborted = true
        }),
      drop: () =>
        this.#answer(supervisor, 'drop', () => {
          this.#release(supervisor)
        }),
    }
  }

  #mount(supervisor: Supervisor): void {
    this.#release(supervisor)
    for (const stale of this.#connections) stale.isMounted = false // what nobody serves is taken away first
    if (this.#random.chance(0.1)) throw new SheepfsError('busy', 'something else is mounted there')
    const connection: Connection = { isMounted: true, isAborted: false, holders: new Set([supervisor]) }
    this.#connections.add(connection)
    supervisor.connection = connection
    if (!this.#hasStore || !this.#outlivesWorker) return
    connection.holders.add('store')
    this.#stored = connection
  }

  #release(supervisor: Supervisor): void {
    const { connection } = supervisor
    if (!connection) return
    connection.isMounted = false
    connection.holders.delete('store')
    connection.holders.delete(supervisor)
    supervisor.connection = this.#stored = undefined
  }

  /** Waits for the answers of a worker that serves; by force only for a while. */
  #unmount(supervisor: Supervisor, force: boolean): Promise<void> {
    const { connection } = supervisor
    const isAnswered = (): boolean =>
      !isAlive(connection) ||
      !isMounted(connection) ||
      [...this.#workers].some((w) => w.connection === connection && w.state === 'serving')
    const work = (): void => {
      if (!connection || !isMounted(connection)) return
      if (this.#isBusy && !force) throw new SheepfsError('busy', 'a file is open')
      if (this.#isBusy || !isAnswered()) connection.isAborted = true
      connection.isMounted = false
    }
    return this.#answer(supervisor, force ? 'umount by force' : 'umount', work, force ? undefined : isAnswered)
  }

  // workers

  #startWorker(
    owner: Supervisor,
    purpose: 'serve' | 'close',
    tell: Worker['tell'],
  ): Pick<Worker, never> & {
    handOver: () => void
    abandon: () => void
    kill: () => void
  } {
    const connection = purpose === 'serve' ? owner.connection : undefined
    const worker: Worker = {
      name: `worker ${++this.#count}`,
      ...{ purpose, connection, owner, tell, state: 'starting', news: [] },
      ...{ isHandedOver: false, isAbandoned: false, isKilled: false },
    }
    const others = [...this.#workers].filter(({ state }) => state !== 'gone')
    if (others.length > 0) this.#flaw = `${worker.name} is put beside another one`
    if (purpose === 'serve' && !connection) this.#flaw = `${worker.name} has no device`
    connection?.holders.add(worker)
    this.#workers.add(worker)
    return {
      handOver: () => (worker.isHandedOver = true),
      abandon: () => (worker.isAbandoned = true),
      kill: () => (worker.isKilled = true),
    }
  }

  #die(worker: Worker, how: string): void {
    if (worker.state === 'gone') return
    worker.state = 'gone'
    worker.connection?.holders.delete(worker)
    worker.news.push({ kind: 'gone', how, livedMs: this.#random.pick([100, 10_000]) })
  }

  #chancesOf(worker: Worker): Chance[] {
    const { name, state, connection } = worker
    const chances: Chance[] = []
    const add = (what: string, happen: () => void): unknown => chances.push({ what: `${name} ${what}`, happen })
    const [news] = worker.news
    if (news)
      add(`tells ${news.kind}`, () => {
        this.#deliver(worker, news)
      })
    if (worker.isKilled && state !== 'gone')
      add('is killed', () => {
        this.#die(worker, 'SIGKILL')
      })
    if (state === 'ending')
      add('ends', () => {
        this.#die(worker, 'status 0')
      })
    if (state === 'starting' && !this.#isAway)
      add('begins', () => {
        this.#beginWork(worker)
      })
    if (state !== 'serving') return chances
    if (worker.isHandedOver)
      add('hands over', () => {
        this.#handOver(worker)
      })
    if (this.#isAway) return chances
    if (!isAlive(connection) || !isMounted(connection))
      add('sees the end', () => {
        this.#finish(worker, undefined)
      })
    if (worker.isAbandoned)
      add('gives up', () => {
        this.#finish(worker, undefined)
      })
    return chances
  }

  #deliver(worker: Worker, news: ServerNews): void {
    worker.news.shift()
    if (worker.state === 'gone' && worker.news.length === 0) this.#workers.delete(worker)
    worker.tell(news)
  }

  #beginWork(worker: Worker): void {
    const { purpose, isAbandoned } = worker
    if (purpose === 'serve') this.#isLocked = true
    if (purpose === 'close' || isAbandoned) this.#finish(worker, undefined)
    else if (this.#random.chance(0.1)) this.#finish(worker, new SheepfsError('unreachable', 'no sheep answers'))
    else {
      worker.state = 'serving'
      worker.news.push({ kind: 'serves', canResend: this.#outlivesWorker })
    }
  }

  /** In order: the volume is closed, and its lock given back. */
  #finish(worker: Worker, error: SheepfsError | undefined): void {
    worker.state = 'ending'
    this.#isLocked = false
    worker.news.push({ kind: 'over', isHandedOver: false, error })
  }

  /** The lock stays, for a successor. */
  #handOver(worker: Worker): void {
    worker.state = 'ending'
    worker.news.push({ kind: 'over', isHandedOver: true, error: undefined })
  }

  // the end

  #checkRest(): void {
    const { performer, connection, waiting } = this.#supervisor
    const { state } = performer.life
    const mounted = [...this.#connections].filter(isMounted)
    const serving = [...this.#workers].filter((worker) => worker.state === 'serving')
    assert.ok(['serving', 'idle', 'ended'].includes(state), `at rest it is ${state}`)
    assert.equal(waiting, 0, `somebody was not answered, and it is ${state}`)
    const isServing = state === 'serving'
    if (performer.life.owes) this.#isLocked = isServing // a later try, or a successor of the daemon, gives it back
    assert.deepEqual(
      { mounted: mounted.length, workers: this.#workers.size, serving: serving.length, isLocked: this.#isLocked },
      { mounted: +isServing, workers: +isServing, serving: +isServing, isLocked: isServing },
      state,
    )
    assert.equal(connection, mounted[0], 'the device that is held is that of the mount')
    assert.equal(this.#stored, this.#hasStore && this.#outlivesWorker ? connection : undefined, 'the store')
    if (isServing) assert.equal(serving[0]?.connection, connection, 'it serves another device')
  }
}

function isAlive(connection: Connection | undefined): boolean {
  return connection !== undefined && !connection.isAborted && connection.holders.size > 0
}

function isMounted(connection: Connection | undefined): boolean {
  return connection?.isMounted === true
}

/** Lets all promises go on that can. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
