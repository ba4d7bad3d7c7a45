import type { Logger } from '../../src/log.ts'
import { attachAtStart, locksAtStart } from '../../src/daemon/worker/attach-at-start.ts'
import type { MountState } from '../../src/daemon/worker-protocol.ts'
import { withGateway } from '../../src/daemon/worker/remembered-gateways.ts'
import { SheepfsError } from '../../src/errors.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import type { BookedLock } from '../../src/sheep/lock-book.ts'
import { Attachments } from '../../src/tree/attachments.ts'
import { NodeIds } from '../../src/tree/node-ids.ts'
import type { Handle } from '../../src/tree/node.ts'
import type { VolumeFile } from '../../src/tree/volume-file.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import { Volume } from '../../src/volume/volume.ts'
import { Random } from '../sheep/random.ts'
import { Host } from './host.ts'
import type { Network } from './network.ts'
import type { InodeIdentity } from '../../src/volume/inode-identity.ts'

/** How soon a supervisor starts another worker, ms. */
const RESTART_MS = { least: 10, spread: 400 } as const
/** How often the requests that a successor holds are looked at, ms. */
const HELD_LOOK_MS = 100
const KILLED = Symbol('killed')

export interface MountPlan {
  readonly name: string
  readonly addresses: readonly Address[]
  readonly volume: string
  readonly readOnly: boolean
  readonly ioTimeoutMs: number
}

/** A worker of the mount, as `daemon/worker` makes it, without a kernel below. */
interface Worker {
  readonly host: Host
  readonly cluster: Cluster
  readonly attachments: Attachments
  /** Of the one volume; undefined when it could not be attached again. */
  readonly handle: Handle | undefined
}

/**
 * A mount of ours with one volume open, and the kernel above: what it asks stays asked while the worker is killed and its
 * successor starts, and is asked again then.
 */
export class Mount {
  readonly plan: MountPlan
  readonly #network: Network
  readonly #random: Random
  readonly #log: Logger
  #generation = 0
  #worker: Worker | undefined
  #starting: Pick<Worker, 'host' | 'cluster'> | undefined
  #killed: () => void = () => undefined
  #death = Promise.resolve<typeof KILLED>(KILLED)
  #failure: Error | undefined
  readonly #waiters = new Set<() => void>()
  #gateways: readonly Address[] = []
  #addresses: readonly Address[]
  #inode: InodeIdentity | undefined
  #clusterCtime: string | undefined
  #isLost = false
  #locks: readonly BookedLock[] = []
  #isEnded = false

  constructor(plan: MountPlan, { network, random, log }: { network: Network; random: Random; log: Logger }) {
    this.plan = plan
    this.#network = network
    this.#random = random
    this.#log = log
    this.#addresses = plan.addresses
  }

  /** Starts the first worker. Errors: of the cluster, the volume. */
  async open(): Promise<void> {
    await this.#start()
  }

  get cluster(): Cluster | undefined {
    return this.#worker?.cluster
  }

  get file(): VolumeFile | undefined {
    return this.#worker?.attachments.list()[0]
  }

  /** Of the inode that the worker works on. */
  get vid(): number | undefined {
    const volume = this.file?.volume
    return volume instanceof Volume ? volume.vid : undefined
  }

  /** The worker writes to the VDI, as far as it knows. */
  get isWriting(): boolean {
    const { file } = this
    return file !== undefined && !file.volume.isReadOnly && !this.#isEnded
  }

  /** A system call on the open file. Errors: those of the volume. */
  async call<T>(work: (handle: Handle, file: VolumeFile) => Promise<T>): Promise<T> {
    for (;;) {
      const worker = await this.#serving(this.plan.ioTimeoutMs)
      const { handle } = worker
      const [file] = worker.attachments.list()
      if (!handle || !file) throw new SheepfsError('stale', `${this.plan.volume} could not be attached again`)
      const outcome = await Promise.race([work(handle, file), this.#death])
      if (outcome !== KILLED) return outcome
    }
  }

  /** Uses other sheep from now on, as config/sheep_info does. */
  async setAddresses(addresses: readonly Address[]): Promise<void> {
    const outcome = await Promise.race([this.#worker?.cluster.setAddresses(addresses), this.#death])
    if (outcome !== KILLED) this.#addresses = addresses
  }

  /** SIGKILL of the worker, whatever it does; another one is started. */
  kill(): void {
    const { host } = this.#worker ?? this.#starting ?? {}
    if (!host || host.isEnded || this.#isEnded) return
    host.kill()
    this.#worker = undefined
    this.#network.trace.say(this.#network.agenda.now, () => `${this.plan.name}: worker killed`)
    this.#killed()
    const { least, spread } = RESTART_MS
    this.#network.agenda.after(least + this.#random.next() * spread, () => {
      this.#start().catch((error: unknown) => {
        this.#failure = error instanceof Error ? error : new Error('no error', { cause: error })
        this.#notify()
      })
    })
  }

  /** Closes and detaches. Errors: what the last writes fail with. */
  async close(): Promise<void> {
    const { attachments, cluster, host } = await this.#serving(Infinity)
    this.#isEnded = true
    try {
      await attachments.close()
    } finally {
      cluster.close()
      host.kill()
    }
  }

  /** As `fuse/kernel/held-requests` has it: while a successor does not find the cluster, nothing waits for longer than that. */
  async #serving(limitMs: number): Promise<Worker> {
    const { agenda } = this.#network
    const since = agenda.now
    for (;;) {
      if (this.#worker) return this.#worker
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isEnded) throw new SheepfsError('closed', `${this.plan.name} has ended`)
      const { cluster } = this.#starting ?? {}
      const isAway = cluster?.state.kind === 'waiting' && !cluster.isFenced
      if (isAway && agenda.now - since >= limitMs) throw new SheepfsError('unreachable', 'no sheep has answered')
      await new Promise<void>((resolve) => {
        this.#waiters.add(resolve)
        if (limitMs < Infinity) agenda.after(HELD_LOOK_MS, resolve)
      })
    }
  }

  async #start(): Promise<void> {
    const { plan } = this
    const log = this.#log
    const generation = ++this.#generation
    const host = new Host(plan.name, this.#network, new Random(this.#random.below(2 ** 31)))
    this.#death = new Promise((resolve) => {
      this.#killed = () => {
        resolve(KILLED)
      }
    })
    const state = { gateways: this.#gateways, locks: this.#locks, clusterCtime: this.#clusterCtime }
    const cluster: Cluster = new Cluster({
      addresses: this.#addresses,
      log,
      world: host.world,
      ioTimeoutMs: plan.ioTimeoutMs,
      onGateway: (address) => {
        if (!host.isEnded) this.#gateways = withGateway(this.#gateways, address)
      },
      onLocks: () => {
        if (this.#worker?.host === host) this.#remember()
        else if (!host.isEnded) this.#rememberLocks(locksAtStart(state, cluster))
      },
    })
    this.#starting = { host, cluster }
    const attachments = new Attachments({
      open: (name, { readOnly = false, former }, waiter) =>
        openVolume(
          cluster,
          { name: name.vdi },
          {
            readOnly,
            log,
            waiter,
            former,
            ownLocks: state.locks,
            onLock: () => {
              if (this.#worker?.host === host) this.#remember()
            },
          },
        ),
      ids: new NodeIds(),
      file: { clock: host.world.clock, owner: { uid: 0, gid: 0 }, caching: () => 'direct', mode: 0o600 },
      announce: () => undefined,
      tell: () => undefined,
      log,
    })
    const volume = { name: plan.volume, nodeId: 1000, readOnly: plan.readOnly, inode: this.#inode }
    const volumes = this.#isLost ? [] : [volume]
    await attachAtStart({ generation, state: { ...state, volumes } }, { cluster, attachments, log })
    const handle = await attachments.list()[0]?.open({ write: !plan.readOnly, caching: 'direct' })
    this.#network.trace.say(this.#network.agenda.now, () => `${plan.name}: worker ${generation} serves`)
    this.#worker = { host, cluster, attachments, handle }
    this.#remember()
    this.#notify()
  }

  /** As a worker tells its supervisor, for its successor. */
  #remember(): void {
    if (!this.#worker) return
    const { host, cluster } = this.#worker
    if (host.isEnded) return
    this.#inode = this.file?.volume.identity
    this.#isLost = this.file === undefined
    this.#rememberLocks({ locks: cluster.locks.all, clusterCtime: cluster.ctime })
  }

  #rememberLocks({ locks, clusterCtime }: Pick<MountState, 'locks' | 'clusterCtime'>): void {
    this.#locks = locks
    this.#clusterCtime = clusterCtime
  }

  #notify(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const wake of waiters) wake()
  }
}
