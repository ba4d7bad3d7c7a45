import { sleep } from '../clock.ts'
import type { ClientContext } from './client-context.ts'
import type { Connection } from './connection.ts'
import type { Gateways } from './gateways.ts'
import { surveyRecovery, type RecoveryProgress, type Survey } from './recovery-survey.ts'
import { loadTopology, probeCluster } from './topology-load.ts'
import type { Topology } from './topology.ts'

interface WatchOptions extends Omit<ClientContext, 'outage'> {
  readonly gateways: Pick<Gateways, 'home'>
  /** Replaced in tests. */
  readonly survey?: (topology: Topology, survey: Survey) => Promise<RecoveryProgress>
}

/** Learns what is to be known of the cluster, and keeps it true: the node list when its epoch has changed, and how far recovery is. */
export class ClusterWatch {
  readonly #options: WatchOptions
  #isLoading = false
  #isWatching = false
  #reloading: Promise<void> | undefined
  #isClosed = false

  constructor(options: WatchOptions) {
    this.#options = options
  }

  /** Connects and learns the version, the flags and the nodes. Errors: unreachable, timeout, not-formatted, not-supported. */
  async open(): Promise<void> {
    const { known, gateways } = this.#options
    const connection = await gateways.home()
    known.learnFormat(await probeCluster(connection))
    await this.begin(await this.#loadNodes(connection))
  }

  /** The first node list. Resolves when it is known whether a recovery is under way. */
  async begin(topology: Topology): Promise<void> {
    const { known, timing } = this.#options
    known.learnNodes(topology)
    const progress = await this.#survey(topology, timing.headStartMs)
    const isDone = progress === 'done' || progress === 'done, some unheard'
    if (isDone && known.isPresent(topology.epoch)) known.learnRecovered()
    else void this.#watchRecovery()
  }

  /** What a sheep has answered with. Of another epoch than the nodes, they are asked for again in the background. */
  notice(epoch: number): void {
    const { known, gateways, log } = this.#options
    if (epoch === known.topology?.epoch) return
    if (known.learnEpoch(epoch)) this.#begun()
    if (epoch <= (known.topology?.epoch ?? 0) || this.#isLoading) return
    this.#isLoading = true
    gateways
      .home()
      .then(async (connection) => {
        this.learn(await this.#loadNodes(connection))
      })
      .catch((error: unknown) => {
        log.debug({ err: error }, 'the node list could not be read; the next response will try again')
      })
      .finally(() => {
        this.#isLoading = false
      })
  }

  /** Reads the nodes anew: those that come back while others wait for them change no epoch. Rejects with nothing. */
  reload(): Promise<void> {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = undefined
    })
    return this.#reloading
  }

  async #reload(): Promise<void> {
    const { gateways, log } = this.#options
    try {
      this.learn(await this.#loadNodes(await gateways.home()))
    } catch (error) {
      log.debug({ err: error }, 'the node list could not be read')
    }
  }

  /** A new node list. */
  learn(topology: Topology): void {
    if (this.#options.known.learnNodes(topology)) this.#begun()
  }

  /** A sheep says that it recovers, in this epoch. */
  noticeRecovery(epoch: number): void {
    const { known, log } = this.#options
    if (!known.isPresent(epoch) || known.recovered !== epoch) return
    known.learnDiskRecovery()
    log.info({ epoch }, 'sheep recover though none came or went: a disk did, or a VDI got other copies')
    void this.#watchRecovery()
  }

  close(): void {
    this.#isClosed = true
  }

  #begun(): void {
    const { known, log } = this.#options
    log.info({ epoch: known.epoch }, 'sheep came or went')
    void this.#watchRecovery()
  }

  #loadNodes(connection: Connection): Promise<Topology> {
    const { known, world } = this.#options
    return loadTopology(connection, world.clock, known)
  }

  /** Until the recovery of the latest epoch is over. */
  async #watchRecovery(): Promise<void> {
    if (this.#isWatching) return
    this.#isWatching = true
    const { known, world, timing, log } = this.#options
    while (!this.#isClosed && !known.isPresent(known.recovered)) {
      const { epoch } = known
      const progress = await this.#progress()
      if (!known.isPresent(epoch)) continue
      if (progress === 'done' || progress === 'listed') known.learnListed()
      const pauseMs = progress === 'done' ? timing.recoveryOverlapMs : timing.recoveryPollMs
      await sleep(world.clock, pauseMs, { isBackground: true })
      if (progress !== 'done' || (await this.#progress()) !== 'done' || !known.isPresent(epoch)) continue
      log.info({ epoch }, 'the sheep have recovered')
      known.learnRecovered()
    }
    this.#isWatching = false
  }

  /** As the sheep say; those that cannot be asked from here, where only gateways can be reached, have only so long. */
  async #progress(): Promise<RecoveryProgress> {
    const { known, world, timing } = this.#options
    const { topology, epoch, since } = known
    if (topology?.epoch !== epoch) return 'unknown'
    const progress = await this.#survey(topology, timing.connectTimeoutMs)
    const isLate = world.clock.now() - since >= timing.recoveryUnheardMs
    return progress === 'done, some unheard' && isLate ? 'done' : progress
  }

  #survey(topology: Topology, limitMs: number): Promise<RecoveryProgress> {
    const { known, world, survey = surveyRecovery } = this.#options
    return survey(topology, { world, protoVer: known.protoVer, limitMs })
  }
}
