import { sleep } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { addressText } from './address.ts'
import type { ClientContext } from './client-context.ts'
import type { Connection } from './connection.ts'
import type { Gateways } from './gateways.ts'
import { surveyRecovery, type RecoveryProgress, type Survey } from './recovery-survey.ts'
import { loadFormat, loadTopology } from './topology-load.ts'
import type { Topology } from './topology.ts'

interface WatchOptions extends Omit<ClientContext, 'outage'> {
  readonly gateways: Pick<Gateways, 'home'>
  /** Replaced in tests. */
  readonly survey?: (topology: Topology, survey: Survey) => Promise<RecoveryProgress>
}

/** Learns what is to be known of the cluster, and keeps it true: the node list when its epoch has changed, and how far recovery is. */
export class ClusterWatch {
  readonly #options: WatchOptions
  /** A sheep was lost, or some have not joined yet: the nodes may be others, in the same epoch. */
  #areNodesDoubted = false
  #isVerifying = false
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
    known.learnFormat(await loadFormat(connection))
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

  /** Asks home which cluster it is; of another one than it was it is chosen, and learnt, anew. Errors: unreachable, timeout. */
  async verify(): Promise<void> {
    const { known, gateways } = this.#options
    const connection = await gateways.home()
    const { ctime } = await loadFormat(connection)
    if (known.ctime === undefined || ctime === known.ctime) return
    connection.destroy(new SheepfsError('unreachable', `sheep ${addressText(connection.address)} was formatted`))
    await gateways.home()
  }

  /** What a sheep has answered with. Of another epoch than the nodes, they are asked for again in the background. */
  notice(epoch: number): void {
    const { known } = this.#options
    if (epoch < known.epoch) this.#suspect()
    if (epoch === known.topology?.epoch && !this.#areNodesDoubted && known.isPresent(known.recovered)) return
    if (known.learnEpoch(epoch)) this.#begun()
    else if (!known.isPresent(known.recovered)) void this.#watchRecovery()
    if (epoch > (known.topology?.epoch ?? 0) || this.#areNodesDoubted) void this.reload()
  }

  /** Whoever knows them is asked for the nodes again, with the next answer. */
  doubtNodes(): void {
    this.#areNodesDoubted = true
  }

  /** An epoch went back: a sheep that is behind, or the cluster was formatted. */
  #suspect(): void {
    if (this.#isVerifying) return
    this.#isVerifying = true
    this.verify()
      .catch((error: unknown) => {
        this.#options.log.debug(
          { err: error },
          'home does not say which cluster it is; the next response will ask again',
        )
      })
      .finally(() => {
        this.#isVerifying = false
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
    this.#areNodesDoubted = false
    try {
      this.learn(await this.#loadNodes(await gateways.home()))
    } catch (error) {
      this.#areNodesDoubted = true
      log.debug({ err: error }, 'the node list could not be read; the next response will try again')
    }
  }

  /** A new node list. */
  learn(topology: Topology): void {
    const { known } = this.#options
    if (topology.epoch < known.epoch) this.#suspect()
    if (known.learnNodes(topology)) this.#begun()
  }

  /** A sheep says that it recovers, in this epoch. `isAnother`: it has begun anew since it was heard last. */
  noticeRecovery(epoch: number, { isAnother = false } = {}): void {
    const { known, log } = this.#options
    if (!known.isPresent(epoch) || (known.recovered !== epoch && !isAnother)) return
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

  async #loadNodes(connection: Connection): Promise<Topology> {
    const { known, world } = this.#options
    const { generation } = known
    const topology = await loadTopology(connection, world.clock, known)
    known.check(generation)
    return topology
  }

  /** Until the recovery of the latest epoch is over. */
  async #watchRecovery(): Promise<void> {
    if (this.#isWatching) return
    this.#isWatching = true
    const { known, world, timing, log } = this.#options
    while (!this.#isClosed && !known.isPresent(known.recovered)) {
      const { epoch, generation, diskRecoveries } = known
      const isPresent = (): boolean =>
        known.isPresent(epoch) && known.generation === generation && known.diskRecoveries === diskRecoveries
      const progress = await this.#progress()
      if (!isPresent()) continue
      if (progress === 'done' || progress === 'listed') known.learnListed()
      const pauseMs = progress === 'done' ? timing.recoveryOverlapMs : timing.recoveryPollMs
      await sleep(world.clock, pauseMs, { isBackground: true })
      if (progress !== 'done' || (await this.#progress()) !== 'done' || !isPresent()) continue
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
