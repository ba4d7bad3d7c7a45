import { errorText, isSheepfsError } from '../../src/errors.ts'
import type { Address } from '../../src/sheep/address.ts'
import { Cluster } from '../../src/sheep/cluster.ts'
import { Random } from '../sheep/random.ts'
import { Agenda } from './agenda.ts'
import { WriteIds, type Contents, type Span } from './contents.ts'
import { Finding } from './finding.ts'
import { Host } from './host.ts'
import { listeningLog } from './listening-log.ts'
import { Mount, type MountPlan } from './mount.ts'
import { Network } from './network.ts'
import { SimulatedCluster, type ClusterPlan } from './simulated-cluster.ts'
import type { Trace } from './trace.ts'

/** A call that has not ended. */
interface Call {
  readonly what: string
  readonly since: number
  readonly ioTimeoutMs: number
  /** What the model knows of why it may wait. */
  readonly explain: (() => string) | undefined
  /** As it was explained last. */
  reason: string
}

/** While nothing is wrong with cluster and network, no call takes longer, ms: a lost gateway that is busy is waited for 30 s. */
const CALM_LIMIT_MS = 45_000
/** With an io_timeout, no call takes longer than this beyond three of it: for a gateway that is asked whether it is done. */
const TIMEOUT_SLACK_MS = 60_000
const WATCH_MS = 1_000
/** Of what takes longer, the reason is asked for. */
const EXPLAIN_MS = 5_000
/** By then a run has ended. */
const LONGEST_RUN_MS = 3_000_000

/** Everything of one run, and what the actors in it have in common. */
export class Stage {
  readonly agenda: Agenda
  readonly trace: Trace
  readonly network: Network
  readonly ids = new WriteIds()
  readonly clusters: SimulatedCluster[] = []
  readonly mounts: Mount[] = []
  /** What a VDI reads as; undefined once that is not known any more. */
  readonly contents = new Map<string, Contents>()
  readonly #random: Random
  readonly #log = listeningLog((text) => {
    this.report('a sheep is not understood', text)
  })
  readonly #calls = new Set<Call>()
  readonly #troubles = new Map<string, number>()
  readonly #clients: { readonly cluster: Cluster; readonly host: Host }[] = []
  /** What has happened that may excuse or explain. */
  readonly past = new Set<string>()
  #calmSince = 0
  #finding: Finding | undefined
  #onFinding: (finding: Finding) => void = () => undefined

  constructor(seed: number, trace: Trace) {
    this.#random = new Random(seed)
    this.trace = trace
    this.agenda = new Agenda(trace)
    this.network = new Network(this.agenda, trace, this.newRandom())
  }

  /** Random numbers for one actor: what it takes of them shifts nobody else's. */
  newRandom(): Random {
    return new Random(this.#random.below(2 ** 31))
  }

  addCluster(plan: ClusterPlan): SimulatedCluster {
    const cluster = new SimulatedCluster(plan, this.network, this.newRandom())
    cluster.onViolation = (what) => {
      const [, rule = 'a rule'] = /(rule \d+)/.exec(what) ?? []
      this.report(`${rule} broken`, what)
    }
    this.clusters.push(cluster)
    return cluster
  }

  addMount(plan: MountPlan, random: Random): Mount {
    const mount = new Mount(plan, { network: this.network, random, log: this.#log })
    this.mounts.push(mount)
    return mount
  }

  /** An open client of its own, for what is done once. */
  async openClient(name: string, addresses: readonly Address[], random: Random): Promise<Cluster> {
    const host = new Host(name, this.network, random)
    const cluster = new Cluster({ addresses, log: this.#log, world: host.world })
    for (;;) {
      try {
        await cluster.open()
        break
      } catch (error) {
        if (!isSheepfsError(error)) throw error
        await this.agenda.pause(500)
      }
    }
    this.#clients.push({ cluster, host })
    return cluster
  }

  endClient(cluster: Cluster): void {
    cluster.close()
    this.#clients.find((client) => client.cluster === cluster)?.host.kill()
  }

  /** Something is wrong until the result is called: nothing needs to go on meanwhile. */
  trouble(what: string): () => void {
    this.trace.say(this.agenda.now, () => `** ${what}`)
    this.past.add(what)
    this.#troubles.set(what, (this.#troubles.get(what) ?? 0) + 1)
    return () => {
      this.trace.say(this.agenda.now, () => `** no more ${what}`)
      const count = (this.#troubles.get(what) ?? 1) - 1
      if (count === 0) this.#troubles.delete(what)
      else this.#troubles.set(what, count)
    }
  }

  /** Notes that a call is made, for as long as it takes. */
  async timed<T>(
    what: string,
    { ioTimeoutMs, explain }: { readonly ioTimeoutMs: number; readonly explain?: (() => string) | undefined },
    work: () => Promise<T>,
  ): Promise<T> {
    const call: Call = { what, since: this.agenda.now, ioTimeoutMs, explain, reason: '' }
    this.#calls.add(call)
    try {
      return await work()
    } finally {
      this.#calls.delete(call)
      this.#checkCall(call)
    }
  }

  /** Ends the run. */
  report(symptom: string, detail: string, circumstance = this.circumstance()): void {
    if (this.#finding) return
    const when = `at ${(this.agenda.now / 1000).toFixed(3)} s: ${detail}`
    this.#finding = new Finding(symptom, circumstance, when, [...this.past].sort())
    this.trace.say(this.agenda.now, () => `!! ${this.#finding?.message ?? ''}`)
    this.#onFinding(this.#finding)
  }

  /** Reports bytes that no order of what happened explains. */
  checkBytes(contents: Contents, place: { first: number; bytes: Uint8Array; who: string }, span: Span): void {
    const wrong = contents.wrong(place.first, place.bytes, span)
    if (!wrong) return
    const { why, unit } = wrong
    const whose = place.who.startsWith('distant') ? ' for a distant reader' : ''
    const kind = why.includes('is foreign') ? 'foreign bytes' : why.includes('is zeros') ? 'zeros' : 'wrong bytes'
    const symptom = `${kind}${whose}`
    const detail = `${place.who}: ${why}, read from ${span.since.toFixed(1)} to ${span.until.toFixed(1)}`
    this.report(symptom, detail, this.circumstance([Math.floor(unit / contents.objectUnits)]))
  }

  /** Reports an error that nobody should see. */
  checkError(who: string, error: unknown): void {
    const code = isSheepfsError(error) ? error.code : 'no SheepfsError'
    const whose = who.startsWith('distant') ? ' of a distant reader' : ''
    this.report(`error ${code}${whose}`, `${who}: ${errorText(error)}${isSheepfsError(error) ? '' : stackOf(error)}`)
  }

  /** Runs until `work` is over; rejects with what was found. */
  async run(work: () => Promise<void>): Promise<void> {
    const found = new Promise<never>((_, reject) => {
      this.#onFinding = reject
    })
    found.catch(() => undefined)
    let outcome: unknown
    Promise.race([work(), found]).then(
      () => {
        this.agenda.stop()
      },
      (error: unknown) => {
        outcome = error
        this.agenda.stop()
      },
    )
    this.#watch()
    this.agenda.after(LONGEST_RUN_MS, () => {
      this.report('never ends', [...this.#calls].map(({ what }) => what).join(', '))
    })
    await this.agenda.run()
    for (const { cluster, host } of this.#clients) {
      host.kill()
      cluster.close()
    }
    if (outcome !== undefined) throw outcome instanceof Error ? outcome : new Error('not an error', { cause: outcome })
  }

  get #isCalm(): boolean {
    return (
      this.#troubles.size === 0 &&
      this.clusters.every(
        ({ isCalm, isShortOfZones, isShortOfHolders, core }) =>
          isCalm && !isShortOfZones && !isShortOfHolders && !core.isHalted,
      )
    )
  }

  /** What the model has done that may show in these data objects; without any, in all. */
  circumstance(indices?: readonly number[]): string {
    const causes = this.clusters
      .flatMap((cluster) => cluster.scars)
      .filter(({ index }) => index === undefined || indices === undefined || indices.includes(index))
      .map(({ cause }) => cause)
    return [...new Set(causes)].sort().join(' and ')
  }

  #watch(): void {
    if (!this.#isCalm) this.#calmSince = this.agenda.now
    for (const call of this.#calls) {
      const reason = this.agenda.now - call.since > EXPLAIN_MS ? (call.explain?.() ?? '') : ''
      if (reason !== '') call.reason = reason
      this.#checkCall(call)
    }
    this.agenda.after(WATCH_MS, () => {
      this.#watch()
    })
  }

  #checkCall({ what, since, ioTimeoutMs, reason }: Call): void {
    const { now } = this.agenda
    const calmMs = now - Math.max(since, this.#calmSince)
    if (this.#isCalm && calmMs > CALM_LIMIT_MS) {
      const text = `${what}, ${Math.round(now - since)} ms, ${Math.round(calmMs)} of them without a reason`
      this.report('waits', text, reason === '' ? this.circumstance() : reason)
    } else if (now - since > 3 * ioTimeoutMs + TIMEOUT_SLACK_MS) {
      this.report('ignores io_timeout', `${what}, ${Math.round(now - since)} ms, io_timeout ${ioTimeoutMs}`)
    }
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? `\n${error.stack ?? ''}` : ''
}
