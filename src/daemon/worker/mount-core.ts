import { SheepfsError } from '../../errors.ts'
import { LATENCY_BOUNDS_S } from '../../api/mount-metrics.ts'
import { Meter } from '../../fuse/meter.ts'
import type { Mounted } from '../../fuse/engine.ts'
import { serveDevice } from '../../fuse/kernel/open-device.ts'
import type { HandleKeeper } from '../../fuse/kernel/open-files.ts'
import { Session } from '../../fuse/kernel/session.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { Logger } from '../../log.ts'
import { addressText, type Address } from '../../sheep/address.ts'
import { Cluster } from '../../sheep/cluster.ts'
import { factsOf } from '../../tree/cluster-facts.ts'
import { ClusterTree } from '../../tree/cluster-tree.ts'
import type { TreeChange } from '../../tree/node.ts'
import { savedTimes } from '../../tree/file-times.ts'
import { FIRST_VOLUME_ID, NodeIds } from '../../tree/node-ids.ts'
import type { VolumeFile } from '../../tree/volume-file.ts'
import { openVolume } from '../../volume/open-volume.ts'
import { controlOwner } from '../control-owner.ts'
import { guardedWorld } from '../guarded-world.ts'
import { realWorld } from '../real-world.ts'
import { attachAtStart, attachLocked, locksAtStart } from './attach-at-start.ts'
import { MOST_FROM_WORKER } from '../ipc/worker-channel.ts'
import { withGateway } from './remembered-gateways.ts'
import type { FromWorker, MountState, WorkerStart } from '../worker-protocol.ts'

/** The device of the mount, inherited from the supervisor. */
const DEVICE_FD = 3
/** Without a supervisor the cluster is waited for only as long as this. */
const ORPHAN_IO_TIMEOUT_MS = 2000
/** More than the state of a mount grows by with one volume, bytes. */
const ROOM_OF_VOLUME = 65_536

export interface WorkerSurroundings {
  readonly log: Logger
  /** Aborts when nobody waits any more for the mount to be served. */
  readonly abandoned: AbortSignal
  readonly send: (message: FromWorker) => void
  /** Called before anything of the cluster is waited for. */
  readonly onBegun?: (core: MountCore) => void
}

/** What is served: by the session of the kernel engine, or by an engine that mounts by itself. */
type Service =
  { readonly kind: 'session'; readonly session: Session } | { readonly kind: 'mounted'; readonly mounted: Mounted }

/** A mount as its worker holds it: the cluster, the tree, and what serves the tree to the kernel. */
export class MountCore {
  readonly cluster: Cluster
  readonly tree: ClusterTree
  readonly log: Logger
  readonly start: WorkerStart
  readonly meter = new Meter(LATENCY_BOUNDS_S)
  readonly #send: (message: FromWorker) => void
  #service: Service | undefined
  #session: Promise<Session> | undefined
  #negotiated: Negotiated | undefined
  #gateways: readonly Address[]
  /** What is attached is all that a successor has to attach. */
  #isAttached = false
  #isOrphan = false

  private constructor(start: WorkerStart, { log, send }: WorkerSurroundings) {
    const { spec, state } = start
    this.start = start
    this.log = log
    this.#send = send
    this.#negotiated = state.negotiated
    this.#gateways = state.gateways
    this.cluster = new Cluster({
      world: guardedWorld(realWorld, spec.networks),
      addresses: state.addresses,
      objectCache: state.objectCache,
      ioTimeoutMs: state.ioTimeoutMs,
      log,
      onState: (cluster) => {
        const isWaiting = cluster.kind === 'waiting'
        send({
          kind: 'waiting',
          sinceMs: isWaiting ? cluster.sinceMs : undefined,
          reason: isWaiting ? cluster.reason : '',
        })
        if (isWaiting) this.#holdRequests()
      },
      onSettings: () => {
        this.publish()
      },
      onGateway: (address) => {
        this.#rememberGateway(address)
      },
      onLocks: () => {
        this.publish()
      },
    })
    this.tree = new ClusterTree({
      clock: this.cluster.clock,
      facts: factsOf(this.cluster),
      openVolume: (vdi, { nodeId, ...how }, waiter) => {
        if (nodeId === undefined) this.#checkRoom()
        return openVolume(this.cluster, vdi, {
          ...how,
          log,
          waiter,
          ownLocks: nodeId === undefined ? [] : state.locks,
          onLock: () => {
            this.publish()
          },
        })
      },
      owner: { uid: spec.uid, gid: spec.gid },
      controlOwner: controlOwner(spec.account),
      volumeMode: spec.volumeMode,
      cache: {
        pageCache: state.pageCache,
        beforePageCache: () => {
          this.#checkSwitch()
        },
      },
      ids: new NodeIds(state.nextNodeId),
      onAttachment: (event) => {
        if (this.#isAttached) send({ kind: 'attachment', event })
      },
      log,
    })
    this.tree.watch((change) => {
      this.#hear(change)
    })
  }

  /** Resolves when the mount serves requests. Errors: of the cluster, the volumes and the engine. */
  static async open(start: WorkerStart, surroundings: WorkerSurroundings): Promise<MountCore> {
    const core = new MountCore(start, surroundings)
    const { abandoned, log, onBegun } = surroundings
    onBegun?.(core)
    const giveUp = (): void => {
      core.#giveUp().catch((error: unknown) => {
        log.error({ err: error }, 'a volume could not be closed')
      })
    }
    abandoned.addEventListener('abort', giveUp, { once: true })
    try {
      await attachAtStart(start, { cluster: core.cluster, attachments: core.tree.attachments, log: core.log })
      core.#isAttached = true
      core.#service = await core.#serve()
      core.tree.start()
      core.publish()
      core.#tellSizes()
      return core
    } catch (error) {
      await core.#dropSession()
      await core.#close()
      throw error
    } finally {
      abandoned.removeEventListener('abort', giveUp)
    }
  }

  /** Serves nothing: takes over what a dead worker had locked, and gives it back. Errors: of the cluster and the volumes. */
  static async giveBack(start: WorkerStart, surroundings: WorkerSurroundings): Promise<void> {
    const core = new MountCore(start, surroundings)
    const { cluster, log } = core
    try {
      await attachLocked(start, { cluster, attachments: core.tree.attachments, log })
    } finally {
      await core.#close()
    }
  }

  get service(): Service | undefined {
    return this.#service
  }

  /** Resolves when the mount has ended and its volumes are closed, or when it was handed over. */
  async ended(): Promise<void> {
    const service = this.#service
    if (!service) return
    try {
      if (service.kind === 'mounted') await service.mounted.ended
      else if ((await service.session.ended) === 'closed' && !this.#isOrphan) return
    } catch (error) {
      this.log.error({ err: error }, 'serving the mount failed')
      throw error
    }
    await this.#close()
  }

  /** Takes no more requests and answers those in flight. Volumes stay locked: a successor takes them over. */
  async handOver(): Promise<void> {
    if (this.#service?.kind !== 'session')
      throw new SheepfsError('not-supported', 'this engine cannot hand a mount over')
    await this.#service.session.close()
  }

  /**
   * Ends because nobody supervises it any more: answers what is in flight and closes the volumes, so that their locks are
   * free for the next daemon, which makes the mount anew. `ended` resolves when that is done.
   */
  async abandon(): Promise<void> {
    this.#isOrphan = true
    this.#waitNoLonger()
    const service = this.#service
    if (service?.kind === 'session') await service.session.close()
    else await service?.mounted.unmount().catch(() => service.mounted.abort())
  }

  /** Also before it serves: what it holds may wait only so long. */
  setIoTimeout(timeoutMs: number): void {
    this.cluster.ioTimeoutMs = timeoutMs
  }

  /** Tells the supervisor what a successor would need. */
  publish(): void {
    this.#send({ kind: 'state', state: this.#isAttached ? this.#state() : this.#stateAtStart() })
  }

  /** What is to be attached still is. */
  #stateAtStart(): MountState {
    const { state } = this.start
    const { ioTimeoutMs } = this.cluster
    return { ...state, ...locksAtStart(state, this.cluster), ioTimeoutMs, gateways: this.#gateways }
  }

  /** What has grown while no worker served, or has a size that the kernel was not told in time. */
  #tellSizes(): void {
    for (const { file } of this.#otherSizes()) file.tellSize()
  }

  /** Volumes of which the kernel knows another size than they have. */
  #otherSizes(): { file: VolumeFile; known: number }[] {
    return this.start.state.volumes.flatMap(({ name, size: known }) => {
      const file = this.tree.attachments.find(name)
      return file && known !== undefined && file.volume.size !== known ? [{ file, known }] : []
    })
  }

  #hear(change: TreeChange): void {
    if (change.kind === 'times') {
      this.#tellTimes(change.nodes)
      return
    }
    if (change.kind === 'entry-added') this.meter.addVolume(change.node)
    if (change.kind === 'entry-removed') this.meter.removeVolume(change.node)
    this.publish()
    if (change.kind !== 'attributes') return
    const volume = this.tree.attachments.node(change.node)?.name
    if (volume !== undefined) this.#send({ kind: 'grown', volume, size: change.size })
  }

  #tellTimes(nodes: Extract<TreeChange, { kind: 'times' }>['nodes']): void {
    const volumes = nodes.flatMap(({ node, ...untold }) => {
      const file = this.tree.attachments.node(node)
      return file ? [{ name: file.name, nodeId: node, times: savedTimes(file.times), ...untold }] : []
    })
    this.#send({ kind: 'times', volumes })
  }

  /** Errors: no-space, when the supervisor could not be told of one more volume. */
  #checkRoom(): void {
    const room = MOST_FROM_WORKER - ROOM_OF_VOLUME
    if (Buffer.byteLength(JSON.stringify(this.#state())) < room) return
    const { length } = this.tree.attachments.list()
    throw new SheepfsError('no-space', `${length} volumes are attached: there is no room for more`)
  }

  #state(): MountState {
    const { tree, cluster } = this
    return {
      negotiated: this.#negotiated,
      volumes: tree.attachments.list().map((file) => ({
        name: file.name,
        nodeId: file.id,
        readOnly: file.isForReading,
        size: file.knownSize,
        isTemporary: tree.attachments.isTemporary(file),
        times: savedTimes(file.times),
        inode: file.volume.identity,
      })),
      nextNodeId: tree.ids.next,
      pageCache: tree.caches.pageCache,
      objectCache: cluster.objectCache,
      addresses: cluster.addresses,
      ioTimeoutMs: cluster.ioTimeoutMs,
      gateways: this.#gateways,
      locks: cluster.locks.all,
      clusterCtime: cluster.ctime,
    }
  }

  async #serve(): Promise<Service> {
    const { spec, state, generation, handles } = this.start
    const { tree, log } = this
    if (spec.engine !== 'kernel') {
      const { fuseNativeEngine: engine } = await import('../../fuse/native/fuse-native-engine.ts')
      const { mountpoint, allowOther, writeBack, mount } = spec
      const caching = state.pageCache ? 'cached' : 'direct'
      const mounted = await engine.mount(tree, { mountpoint, source: mount, allowOther, writeBack, caching, log })
      return { kind: 'mounted', mounted }
    }
    const session = await this.#openSession()
    if (generation > 1) {
      await session.restore(handles)
      for (const { file, known } of this.#otherSizes()) if (known === 0) session.restoreSize(file, file.volume.size)
    }
    session.start()
    this.#negotiated = await session.ready
    return { kind: 'session', session }
  }

  /** Of the kernel engine. What a predecessor had taken and not answered comes to it. */
  #openSession(): Promise<Session> {
    this.#session ??= this.#newSession()
    return this.#session
  }

  async #newSession(): Promise<Session> {
    const { spec, state, generation } = this.start
    const { tree, log, meter } = this
    const { negotiated } = state
    const session = new Session({
      tree,
      device: await serveDevice(DEVICE_FD, log),
      log,
      writeBack: spec.writeBack,
      generation,
      meter,
      handleKeeper: this.#handleKeeper(),
      ...(negotiated === undefined ? {} : { negotiated }),
    })
    if (generation > 1) session.resend()
    return session
  }

  /** A successor that does not find the cluster takes requests all the same: none waits for longer than `io_timeout`. */
  #holdRequests(): void {
    const { generation, spec, purpose } = this.start
    if (this.#isAttached || generation === 1 || spec.engine !== 'kernel' || purpose !== 'serve') return
    const { cluster } = this
    const limitMs = (): number =>
      cluster.state.kind === 'waiting' && !cluster.isFenced ? cluster.ioTimeoutMs : Infinity
    this.#openSession().then(
      (session) => {
        session.hold(limitMs)
      },
      () => undefined, // who is to serve hears of it
    )
  }

  async #dropSession(): Promise<void> {
    const session = await this.#session?.catch(() => undefined)
    session?.destroy()
  }

  /** Only of volumes: whoever reads a text twice gets it anew. */
  #handleKeeper(): HandleKeeper {
    return {
      opened: (handle) => {
        if (handle.node >= FIRST_VOLUME_ID) this.#send({ kind: 'opened', handle })
      },
      closed: ({ fh, node }) => {
        if (node >= FIRST_VOLUME_ID) this.#send({ kind: 'closed', fh })
      },
    }
  }

  /** Before it serves: what is attached is closed, what waits fails, and so does the start. */
  async #giveUp(): Promise<void> {
    this.#waitNoLonger()
    await this.#close()
  }

  #waitNoLonger(): void {
    this.cluster.ioTimeoutMs = Math.min(this.cluster.ioTimeoutMs, ORPHAN_IO_TIMEOUT_MS)
  }

  async #close(): Promise<void> {
    try {
      await this.tree.close()
    } finally {
      this.cluster.close()
    }
  }

  #rememberGateway(address: Address): void {
    this.#gateways = withGateway(this.#gateways, address)
    this.log.debug({ sheep: addressText(address) }, 'gateway')
    this.publish()
  }

  #checkSwitch(): void {
    queueMicrotask(() => {
      this.publish() // it is switched when this returns
    })
    if (this.start.spec.engine === 'kernel') return
    throw new SheepfsError(
      'not-supported',
      `engine ${this.start.spec.engine} cannot switch the page cache while mounted`,
    )
  }
}
