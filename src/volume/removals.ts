import { sleep } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import type { Cluster } from '../sheep/cluster.ts'
import type { Patience } from '../sheep/outage.ts'
import { erasureStrips, type InodeHeader } from '../wire/inode.ts'
import { dataOid } from '../wire/object-id.ts'
import { readObject } from '../wire/object-ops.ts'
import { Result } from '../wire/sd-proto.ts'
import { IndexQueue, IndexSet } from './index-set.ts'

const REMOVING = 'an object that was given back is still being removed'
/** What this volume has given back goes, however long that takes; and sheep are seen idle when it has not gone. */
const SURE_LIMITS = 4

/**
 * What is known of own objects that were given back and not created since. Sheep removes them after it has answered, one
 * after another, and a removal takes with it what was created under the same name meanwhile
 * (docs/sheepdog-protocol.md#5.6). Whoever attaches the VDI next cannot know of those that are under way: until every sheep
 * was seen idle once, every object is suspected. What was given back before that is over.
 */
export class Removals {
  readonly #cluster: Cluster
  readonly #header: () => InodeHeader
  /** In the order in which they were given back. */
  readonly #underWay = new IndexQueue()
  /** Those of them that a former attachment may have given back. */
  readonly #suspected = new Set<number>()
  readonly #over = new IndexSet()
  /** Whose index update is not answered yet. */
  readonly #leaving = new IndexSet()
  /** Given back since the present look began. */
  readonly #recent = new IndexSet()
  /** Whether all sheep are idle; undefined: nobody needs to know. */
  #look: object | undefined
  #isSuspecting = false

  /** `header`: of the inode in use. */
  constructor(cluster: Cluster, header: () => InodeHeader) {
    this.#cluster = cluster
    this.#header = header
  }

  /** Suspects removals that a former attachment has left, until every sheep was idle. */
  suspectFormer(): void {
    this.#isSuspecting = true
    this.#lookForEnd()
  }

  /** Nobody asks any more. */
  end(): void {
    this.#look = undefined
    this.#endSuspicion()
  }

  /** What is there now stays, or was given back by this volume. */
  #endSuspicion(): void {
    this.#isSuspecting = false
    for (const index of this.#suspected) this.#underWay.delete(index)
    this.#suspected.clear()
  }

  /** Objects are given back by `publish`; until that has ended, nobody asks for them. */
  async during<T>(indexes: readonly number[], publish: () => Promise<T>): Promise<T> {
    for (const index of indexes) {
      this.#underWay.add(index)
      this.#suspected.delete(index)
      this.#leaving.add(index)
    }
    try {
      return await publish()
    } finally {
      for (const index of indexes) {
        this.#leaving.delete(index)
        this.#recent.add(index)
      }
      if (indexes.length > 0) this.#lookForEnd()
    }
  }

  /** The object has been created. */
  created(index: number): void {
    this.#underWay.delete(index)
    this.#over.delete(index)
  }

  /** The VDI has another inode, and with it objects of other names. */
  clear(): void {
    this.#isSuspecting = false
    this.#look = undefined
    this.#underWay.clear()
    this.#suspected.clear()
    this.#over.clear()
  }

  /**
   * Waits until an object is really gone. Others may be removed before it, so that it only counts as one that stays, because
   * something else refers to it, when for a long time none of them goes either, and not every sheep is seen idle. Resolves
   * with whether it was there.
   */
  async ended(index: number, patience: Patience): Promise<boolean> {
    if (this.#isSuspecting && !this.#underWay.has(index) && !this.#over.has(index)) {
      this.#underWay.add(index)
      this.#suspected.add(index)
    }
    const { clock, timing, idleWatch } = this.#cluster
    const isSure = idleWatch.canTell && !this.#suspected.has(index)
    const limitMs = timing.removalLimitMs * (isSure ? SURE_LIMITS : 1)
    let until = clock.now() + limitMs
    while (this.#underWay.has(index) && clock.now() < until) {
      if (await this.#noticeEnd(index, patience)) break
      const first = this.#underWay.first() ?? index
      const isLate = clock.now() >= until - limitMs / 2
      if (first !== index && (await this.#noticeEnd(first, patience))) until = clock.now() + limitMs
      else if (isLate) this.#underWay.putLast(first) // it may be one that stays
      await patience.until(sleep(clock, timing.removalPauseMs), new SheepfsError('unreachable', REMOVING))
    }
    return this.#underWay.has(index) || this.#over.has(index)
  }

  #lookForEnd(): void {
    const { idleWatch } = this.#cluster
    if (this.#look || !idleWatch.canTell) return
    const look = {}
    this.#look = look
    this.#recent.clear()
    void idleWatch
      .allDone(() => look === this.#look)
      .then(() => {
        if (look === this.#look) this.#endLook()
      })
  }

  /** What was given back before the look began is over. */
  #endLook(): void {
    this.#look = undefined
    this.#endSuspicion()
    for (const index of this.#underWay.all()) {
      if (this.#leaving.has(index) || this.#recent.has(index)) continue
      this.#underWay.delete(index)
      this.#over.add(index)
    }
    if (this.#underWay.size > 0) this.#lookForEnd()
  }

  async #noticeEnd(index: number, patience: Patience): Promise<boolean> {
    if (!(await this.#isGone(index, patience))) return false
    if (this.#underWay.delete(index)) this.#over.add(index)
    return true
  }

  /** An erasure-coded object cannot be read when the first of its strips is gone. */
  async #isGone(index: number, patience: Patience): Promise<boolean> {
    const { vdiId, copyPolicy, nrCopies } = this.#header()
    const oid = dataOid(vdiId, index)
    const { result } = await this.#cluster.read(readObject(oid, 0, 1), { patience })
    if (result !== Result.NO_OBJ) return false
    return !erasureStrips(copyPolicy) || !(await this.#cluster.isHeld(oid, nrCopies))
  }
}
