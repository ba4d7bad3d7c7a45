import { SheepfsError } from '../errors.ts'
import { type Cluster } from '../sheep/cluster.ts'
import { resultError } from '../sheep/result-error.ts'
import { readInode } from '../sheep/vdi-lookup.ts'
import { indexEntryOffset } from '../wire/inode.ts'
import { writeIndex } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { type VolumeIndex } from './volume-index.ts'

interface Publish {
  readonly index: number
  readonly vid: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Entries of one index update at most: 16 KiB. */
const MAX_RUN = 4096

/** The array in the inode of `inodeVid`: 4 bytes an object, kept in memory. */
export class ArrayIndex implements VolumeIndex {
  readonly #cluster: Cluster
  readonly #inodeVid: number
  #entries: Uint32Array
  #allocated = 0
  #queued: Publish[] = []

  private constructor(cluster: Cluster, inodeVid: number, entries: Uint32Array) {
    this.#cluster = cluster
    this.#inodeVid = inodeVid
    this.#entries = entries
    for (const entry of entries) if (entry !== 0) this.#allocated++
  }

  /** Reads the part of the array that a volume of `objectCount` objects uses. Errors: stale. */
  static async load(cluster: Cluster, inodeVid: number, objectCount: number): Promise<ArrayIndex> {
    const entries = new Uint32Array(objectCount)
    if (objectCount > 0) await readInode(cluster, inodeVid, indexEntryOffset(0), new Uint8Array(entries.buffer))
    return new ArrayIndex(cluster, inodeVid, entries)
  }

  get objectCount(): number {
    return this.#entries.length
  }

  get allocated(): number {
    return this.#allocated
  }

  owner(index: number): number {
    return this.#entries[index] ?? 0
  }

  next(from: number, wanted: 'data' | 'hole'): number {
    const isWanted = wanted === 'data' ? (entry: number) => entry !== 0 : (entry: number) => entry === 0
    let index = from
    while (index < this.#entries.length && !isWanted(this.#entries[index] ?? 0)) index++
    return Math.min(index, this.#entries.length)
  }

  grow(objectCount: number): void {
    const entries = new Uint32Array(Math.max(objectCount, this.#entries.length))
    entries.set(this.#entries)
    this.#entries = entries
  }

  /** Publishes asked for in one turn leave together, adjacent entries in one update. */
  publish(index: number, vid: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queued.push({ index, vid, resolve, reject })
      if (this.#queued.length > 1) return
      queueMicrotask(() => {
        const queued = this.#queued
        this.#queued = []
        for (const run of adjacentRuns(queued)) void this.#publishRun(run)
      })
    })
  }

  /** Never rejects: every publish of the run is told how it ended. */
  async #publishRun(run: readonly Publish[]): Promise<void> {
    try {
      let pending = [run]
      while (pending.length > 0) {
        const unknown = await Promise.all(pending.map((part) => this.#send(part)))
        pending = unknown.flat()
      }
    } catch (error) {
      for (const { reject } of run) reject(error)
    }
  }

  /** Sends one update; after a lost connection, reads which entries it changed and returns the runs it did not. */
  async #send(run: readonly Publish[]): Promise<(readonly Publish[])[]> {
    const first = run[0]?.index ?? 0
    const vids = run.map((publish) => publish.vid)
    const response = await this.#cluster.changeOnce(writeIndex(this.#inodeVid, first, vids, this.#cluster.objectFlags))
    if (!response) return this.#afterLoss(first, run)
    if (response.result === Result.NO_OBJ) {
      throw new SheepfsError('stale', `the inode ${this.#inodeVid.toString(16)} is gone`)
    }
    if (response.result !== Result.SUCCESS) throw resultError(response.result, 'index update')
    for (const publish of run) this.#settle(publish)
    return []
  }

  async #afterLoss(first: number, run: readonly Publish[]): Promise<(readonly Publish[])[]> {
    const stored = new Uint32Array(run.length)
    await readInode(this.#cluster, this.#inodeVid, indexEntryOffset(first), new Uint8Array(stored.buffer))
    const isDone = (publish: Publish): boolean => stored[publish.index - first] === publish.vid
    for (const publish of run) if (isDone(publish)) this.#settle(publish)
    return adjacentRuns(run.filter((publish) => !isDone(publish)))
  }

  #settle({ index, vid, resolve }: Publish): void {
    this.#allocated += Number(vid !== 0) - Number(this.owner(index) !== 0)
    this.#entries[index] = vid
    resolve()
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
