import { sleep } from '../clock.ts'
import type { Cluster } from '../sheep/cluster.ts'
import { erasureStrips, type InodeHeader } from '../wire/inode.ts'
import { dataOid } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { IndexQueue, IndexSet } from './index-set.ts'

const FIRST_LOOK_MS = 1_000
const LAST_LOOK_MS = 60_000

/**
 * What is known of own objects that were given back and not created since. Sheep removes them after it has answered, one
 * after another, and a removal takes with it what was created under the same name meanwhile
 * (docs/sheepdog-protocol.md#5.6). Whoever attaches the VDI next cannot know of those that are under way: until the
 * cluster was seen idle once, every object is suspected.
 */
export class Removals {
  readonly #cluster: Cluster
  readonly #header: () => InodeHeader
  /** In the order in which they were given back. */
  readonly #underWay = new IndexQueue()
  /** Those of them that a former attachment may have given back. */
  readonly #suspected = new Set<number>()
  readonly #over = new IndexSet()
  #isSuspecting = false

  /** `header`: of the inode in use. */
  constructor(cluster: Cluster, header: () => InodeHeader) {
    this.#cluster = cluster
    this.#header = header
  }

  /** Suspects removals that a former attachment has left, until the cluster is idle. */
  suspectFormer(): void {
    this.#isSuspecting = true
    void this.#awaitIdle()
  }

  /** What is there now stays, or was given back by this volume. */
  endSuspicion(): void {
    this.#isSuspecting = false
    for (const index of this.#suspected) this.#underWay.delete(index)
    this.#suspected.clear()
  }

  /** The object is about to be given back. */
  begin(index: number): void {
    this.#underWay.add(index)
    this.#suspected.delete(index)
  }

  /** The object has been created. */
  created(index: number): void {
    this.#underWay.delete(index)
    this.#over.delete(index)
  }

  /** The VDI has another inode, and with it objects of other names. */
  clear(): void {
    this.#isSuspecting = false
    this.#underWay.clear()
    this.#suspected.clear()
    this.#over.clear()
  }

  /**
   * Waits until an object is really gone. Others may be removed before it, so that it only counts as one that stays, because
   * something else refers to it, when for `removalLimitMs` none of them goes either. Resolves with whether it was there.
   */
  async ended(index: number): Promise<boolean> {
    if (this.#isSuspecting && !this.#underWay.has(index) && !this.#over.has(index)) {
      this.#underWay.add(index)
      this.#suspected.add(index)
    }
    const { clock, timing } = this.#cluster
    const { removalLimitMs, removalPauseMs } = timing
    let until = clock.now() + removalLimitMs
    while (this.#underWay.has(index) && clock.now() < until) {
      if (await this.#noticeEnd(index)) break
      const first = this.#underWay.first() ?? index
      const isLate = clock.now() >= until - removalLimitMs / 2
      if (first !== index && (await this.#noticeEnd(first))) until = clock.now() + removalLimitMs
      else if (isLate) this.#underWay.putLast(first) // it may be one that stays
      await sleep(clock, removalPauseMs)
    }
    return this.#underWay.has(index) || this.#over.has(index)
  }

  async #awaitIdle(): Promise<void> {
    for (let lookMs = FIRST_LOOK_MS; this.#isSuspecting; lookMs = Math.min(2 * lookMs, LAST_LOOK_MS)) {
      if (await this.#cluster.isIdle()) this.endSuspicion()
      else await sleep(this.#cluster.clock, lookMs, { isBackground: true })
    }
  }

  async #noticeEnd(index: number): Promise<boolean> {
    if (!(await this.#isGone(index))) return false
    if (this.#underWay.delete(index)) this.#over.add(index)
    return true
  }

  /** An erasure-coded object cannot be read when the first of its strips is gone. */
  async #isGone(index: number): Promise<boolean> {
    const { vdiId, copyPolicy, nrCopies } = this.#header()
    const oid = dataOid(vdiId, index)
    const { result } = await this.#cluster.read(readObject(oid, 0, 1))
    if (result !== Result.NO_OBJ) return false
    return !erasureStrips(copyPolicy) || !(await this.#cluster.isHeld(oid, nrCopies))
  }
}
