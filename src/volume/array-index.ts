import { type Cluster } from '../sheep/cluster.ts'
import { resultError } from '../sheep/result-error.ts'
import { readInode } from '../sheep/vdi-lookup.ts'
import { indexEntryOffset } from '../wire/inode.ts'
import { writeIndex } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { Missing, whileMissing } from './missing.ts'
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
  /** Entries whose publish has failed and may have been executed: read again when they are needed, by one for all. */
  readonly #doubts = new Map<number, Promise<number> | undefined>()
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
    return new ArrayIndex(cluster, inodeVid, await readEntries(cluster, inodeVid, 0, objectCount))
  }

  get objectCount(): number {
    return this.#entries.length
  }

  get allocated(): number {
    return this.#allocated
  }

  owner(index: number): number | Promise<number> {
    if (this.#doubts.size > 0 && this.#doubts.has(index)) return this.#doubts.get(index) ?? this.#resolveDoubt(index)
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
        for (const run of adjacentRuns(queued)) void this.#publishRun(run, new Missing(this.#cluster))
      })
    })
  }

  /** Never rejects: every publish of the run is told how it ended, once nothing of it is under way any more. */
  async #publishRun(run: readonly Publish[], missing: Missing): Promise<void> {
    try {
      const undone = await this.#send(run, missing)
      await Promise.all(undone.map((part) => this.#publishRun(part, missing)))
    } catch (error) {
      for (const { index, reject } of run) {
        this.#doubts.set(index, undefined)
        reject(error)
      }
    }
  }

  /**
   * Sends one update. When nobody knows whether it was executed, reads which entries it changed and returns the runs it
   * did not.
   */
  async #send(run: readonly Publish[], missing: Missing): Promise<(readonly Publish[])[]> {
    const first = run[0]?.index ?? 0
    const vids = run.map((publish) => publish.vid)
    const response = await this.#cluster.changeOnce(writeIndex(this.#inodeVid, first, vids, this.#cluster.objectFlags))
    if (response?.result === Result.SUCCESS) {
      for (const publish of run) this.#settle(publish)
      return []
    }
    if (response) {
      const failure = resultError(response.result, `index update of inode ${this.#inodeVid.toString(16)}`)
      if (response.result !== Result.NO_OBJ && response.result !== Result.EIO) throw failure
      await missing.wait(() => failure)
    }
    const stored = await readEntries(this.#cluster, this.#inodeVid, first, run.length)
    const isDone = (publish: Publish): boolean => stored[publish.index - first] === publish.vid
    for (const publish of run) if (isDone(publish)) this.#settle(publish)
    return adjacentRuns(run.filter((publish) => !isDone(publish)))
  }

  #settle({ index, vid, resolve }: Publish): void {
    this.#adopt(index, vid)
    resolve()
  }

  #adopt(index: number, vid: number): void {
    this.#doubts.delete(index)
    this.#allocated += Number(vid !== 0) - Number(this.#entries[index] !== 0)
    this.#entries[index] = vid
  }

  #resolveDoubt(index: number): Promise<number> {
    const reading = readEntries(this.#cluster, this.#inodeVid, index, 1).then(
      ([stored = 0]) => {
        if (this.#doubts.get(index) !== reading) return this.owner(index) // published anew meanwhile
        this.#adopt(index, stored)
        return stored
      },
      (error: unknown) => {
        if (this.#doubts.get(index) === reading) this.#doubts.set(index, undefined)
        throw error
      },
    )
    this.#doubts.set(index, reading)
    return reading
  }
}

async function readEntries(cluster: Cluster, vid: number, first: number, count: number): Promise<Uint32Array> {
  const entries = new Uint32Array(count)
  const into = new Uint8Array(entries.buffer)
  if (count > 0) await whileMissing(cluster, () => readInode(cluster, vid, indexEntryOffset(first), into))
  return entries
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
