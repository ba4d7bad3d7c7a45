import type { Cluster } from '../../sheep/cluster.ts'
import type { Patience } from '../../sheep/outage.ts'
import { mayAppear, resultError } from '../../sheep/result-error.ts'
import type { Address } from '../../sheep/address.ts'
import { writeIndex } from '../../wire/object-ops.ts'
import { Result } from '../../wire/sd-proto.ts'
import { eldestOf } from './eldest-patience.ts'
import { EntryTable } from './entry-table.ts'
import { isSnapshotInode, readEntries, readEntryReplicas, type EntryReplica, type InodePlace } from './index-entries.ts'
import { Missing } from '../missing.ts'
import type { VolumeIndex } from './volume-index.ts'

interface Publish {
  readonly index: number
  readonly vid: number
  readonly patience: Patience
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Publishes of adjacent entries: one index update. */
interface Run {
  readonly publishes: readonly Publish[]
  /** The gateway to send it through; undefined: any. */
  readonly at?: Address | undefined
}

interface PatientRun extends Run {
  /** Its patience is that of who began first. */
  readonly missing: Missing
}

/** An entry that is to be read when it is needed, by one for all. */
interface Doubt {
  readonly wanted: number
  reading?: Promise<number> | undefined
}

/** Entries of one index update at most: 16 KiB. */
const MAX_RUN = 4096

/** The array in an inode: 4 bytes an object. */
export class ArrayIndex implements VolumeIndex {
  readonly #cluster: Cluster
  #inode: InodePlace
  /** Entries whose publish has failed and may have been executed, by some replicas or all. */
  readonly #doubts = new Map<number, Doubt>()
  readonly #entries: EntryTable
  #queued: Publish[] = []

  private constructor(cluster: Cluster, inode: InodePlace, entries: EntryTable) {
    this.#cluster = cluster
    this.#inode = inode
    this.#entries = entries
  }

  /** Reads the part of the array that a volume of `objectCount` objects uses. Errors: stale. */
  static async load(cluster: Cluster, inode: InodePlace, objectCount: number): Promise<ArrayIndex> {
    const entries = await EntryTable.load(objectCount, (first, into) => readEntries(cluster, inode, first, into))
    return new ArrayIndex(cluster, inode, entries)
  }

  get objectCount(): number {
    return this.#entries.count
  }

  get allocated(): number {
    return this.#entries.allocated
  }

  owner(index: number): number | Promise<number> {
    const doubt = this.#doubts.size > 0 ? this.#doubts.get(index) : undefined
    if (doubt) return doubt.reading ?? this.#resolveDoubt(index, doubt)
    return this.#entries.get(index)
  }

  next(from: number, wanted: 'data' | 'hole'): number | Promise<number> {
    return this.#doubts.size > 0 ? this.#nextWithoutDoubt(from, wanted) : this.#entries.next(from, wanted)
  }

  async #nextWithoutDoubt(from: number, wanted: 'data' | 'hole'): Promise<number> {
    for (const index of [...this.#doubts.keys()]) if (index >= from) await this.owner(index)
    return this.#entries.next(from, wanted)
  }

  reread(first: number, count: number): Promise<void> {
    return this.#entries.reread(first, count)
  }

  adoptCopies(copies: number): void {
    this.#inode = { ...this.#inode, copies }
  }

  grow(objectCount: number): void {
    this.#entries.grow(objectCount)
  }

  /** Publishes asked for in one turn leave together, adjacent entries in one update. */
  publish(index: number, vid: number, patience?: Patience): Promise<void> {
    return this.#cluster.withPatience(
      patience,
      (own) =>
        new Promise((resolve, reject) => {
          this.#queued.push({ index, vid, patience: own, resolve, reject })
          if (this.#queued.length > 1) return
          queueMicrotask(() => {
            const queued = this.#queued
            this.#queued = []
            for (const publishes of adjacentRuns(queued)) void this.#publishAll({ publishes })
          })
        }),
    )
  }

  /** Never rejects. */
  async #publishAll({ publishes, at }: Run): Promise<void> {
    await this.#publishRun({ publishes, at, missing: new Missing(this.#cluster, eldestOf(publishes)) })
  }

  /** Never rejects: every publish of the run is told how it ended, once nothing of it is under way any more. */
  async #publishRun(run: PatientRun): Promise<void> {
    try {
      const undone = await this.#send(run)
      await Promise.all(undone.map((part) => this.#publishRun({ ...run, at: undefined, ...part })))
    } catch (error) {
      const { publishes } = run
      const { patience } = run.missing
      // who began later may wait longer
      const isOver = (publish: Publish): boolean => !patience.hasGivenUp || publish.patience.isOver
      for (const { index, vid, reject } of publishes.filter(isOver)) {
        this.#doubts.set(index, { wanted: vid })
        reject(error)
      }
      await Promise.all(publishes.filter((publish) => !isOver(publish)).map((publish) => this.#complete(publish)))
    }
  }

  /**
   * Sends one update. When nobody knows whether it was executed, and stays, looks which entries it changed and returns the
   * runs it did not.
   */
  async #send({ publishes, at, missing }: PatientRun): Promise<Run[]> {
    const { patience } = missing
    const first = publishes[0]?.index ?? 0
    const vids = publishes.map((publish) => publish.vid)
    const message = writeIndex(this.#inode.vid, first, vids)
    const { copies } = this.#inode
    const response = await this.#cluster.changeOnce(message, { copies, patience, ...(at && { at }) })
    if (response?.result === Result.SUCCESS) {
      for (const publish of publishes) this.#acknowledge(publish)
      return []
    }
    if (response) {
      const failure = resultError(response.result, `index update of inode ${this.#inode.vid.toString(16)}`)
      if (!mayAppear(response.result)) throw failure
      await missing.wait(failure)
    }
    return this.#undone(publishes, patience)
  }

  /**
   * Acknowledges the publishes that every replica of the inode has. One that some lack, or may lack because they cannot be
   * reached from here, is sent through one that has it: the others would count the reference to the former object once more
   * (docs/sheepdog-protocol.md#5.5).
   */
  async #undone(publishes: readonly Publish[], patience: Patience): Promise<Run[]> {
    const first = publishes[0]?.index ?? 0
    const inode = { ...this.#inode, patience }
    const { replicas, isComplete } = await readEntryReplicas(this.#cluster, inode, first, publishes.length)
    const holders = ({ index, vid }: Publish): EntryReplica[] =>
      replicas.filter(({ entries }) => entries[index - first] === vid)
    const all = isComplete ? replicas.length : Infinity
    const isPartly = publishes.some((publish) => ![0, all].includes(holders(publish).length))
    const enough = isPartly && (await isSnapshotInode(this.#cluster, inode)) ? 1 : all
    const undone = new Map<Address | undefined, Publish[]>()
    for (const publish of publishes) {
      const having = holders(publish)
      const at = having[0]?.address
      if (having.length >= enough) this.#acknowledge(publish)
      else undone.set(at, [...(undone.get(at) ?? []), publish])
    }
    return [...undone].flatMap(([at, some]) => adjacentRuns(some).map((run) => ({ publishes: run, at })))
  }

  #acknowledge({ index, vid, resolve }: Publish): void {
    this.#record(index, vid)
    resolve()
  }

  #record(index: number, vid: number): void {
    this.#doubts.delete(index)
    this.#entries.set(index, vid)
  }

  #resolveDoubt(index: number, doubt: Doubt): Promise<number> {
    doubt.reading = this.#agreed(index, doubt.wanted).then(
      (stored) => {
        if (this.#doubts.get(index) !== doubt) return this.owner(index) // published anew meanwhile
        this.#record(index, stored)
        return stored
      },
      (error: unknown) => {
        doubt.reading = undefined
        throw error
      },
    )
    return doubt.reading
  }

  /** What every replica has; when only some have what was wanted, that, once all have it. */
  async #agreed(index: number, wanted: number): Promise<number> {
    const { replicas, isComplete } = await readEntryReplicas(this.#cluster, this.#inode, index, 1)
    const [stored = 0, ...others] = new Set(replicas.map(({ entries }) => entries[0] ?? 0))
    if (others.length === 0 && (isComplete || stored !== wanted)) return stored
    await this.#cluster.withPatience(
      undefined,
      (patience) =>
        new Promise<void>((resolve, reject) => {
          void this.#complete({ index, vid: wanted, patience, resolve, reject })
        }),
    )
    return wanted
  }

  /** Never rejects: the publish, which may have been executed, is told how it ended. */
  async #complete(publish: Publish): Promise<void> {
    try {
      const undone = await this.#undone([publish], publish.patience)
      await Promise.all(undone.map((run) => this.#publishAll(run)))
    } catch (error) {
      this.#doubts.set(publish.index, { wanted: publish.vid })
      publish.reject(error)
    }
  }
}

function adjacentRuns(publishes: readonly Publish[]): Publish[][] {
  const runs: Publish[][] = []
  for (const publish of [...publishes].sort((a, b) => a.index - b.index)) {
    const run = runs.at(-1)
    if (run && run.length < MAX_RUN && run.at(-1)?.index === publish.index - 1) run.push(publish)
    else runs.push([publish])
  }
  return runs
}
