import { INODE_HEADER_SIZE } from '../../src/wire/inode.ts'
import { kindOf } from '../../src/wire/object-id.ts'
import type { RecoveryPhase, RecoveryState } from '../../src/wire/info-ops.ts'
import { readStrips, type Strip } from './erasure-code.ts'
import { oidOf } from './object-key.ts'
import type { SimulatedCluster } from './simulated-cluster.ts'
import type { SimulatedSheep } from './simulated-sheep.ts'
import { MOST_ENTRIES } from './spread-store.ts'
import { StoredObject } from './stored-object.ts'

const LISTING_MS = { least: 20, spread: 600 } as const
const FETCH_MS = { least: 1, spread: 40 } as const
/**
 * A recovery without an epoch is seen so late by a client that asks for it, as ours does: what it loses of what was written
 * before is a limit (docs/guarantees.md).
 */
const SEEN_AFTER_MS = 250
/** A fetch that began before another of the same object ends at most so much later. */
const LATEST_MS = 1500

/**
 * What a sheep does when it becomes a holder of objects, or loses a disk (sheepdog 1.0: sheep/recovery.c): it lists them,
 * fetches one after the other, and the first request for one fetches it at once. Fetches of one object do not know of each
 * other: the one that ends last replaces the object by what it read.
 */
export class Recovery {
  readonly #cluster: SimulatedCluster
  readonly #sheep: SimulatedSheep
  /** By key: which strip is to be fetched. */
  readonly #missing = new Map<number, number>()
  #phase: RecoveryPhase = 'none'
  /** What was missing when the recovery began. */
  #total = 0
  /** Objects of which the other strips are being asked for. */
  readonly #rebuilding = new Set<number>()
  #round = 0
  #fetches = 0
  #isOfEpoch = true
  /** When a recovery without an epoch is to be seen, and what was there then. */
  #seenAt = 0
  #whenSeen = new Map<number, StoredObject>()
  /** The latest epoch that it was a member in. */
  #lastEpoch = 1

  constructor(cluster: SimulatedCluster, sheep: SimulatedSheep) {
    this.#cluster = cluster
    this.#sheep = sheep
  }

  /** What it says of it. */
  get state(): RecoveryState {
    return { phase: this.#phase, finished: this.#total - this.#missing.size, total: this.#total }
  }

  /** Nodes came or went. What of it the disk has stays, but for a node that was away. */
  beginEpoch(wasAway: boolean): void {
    const { disk } = this.#sheep
    for (const key of [...disk.objects.keys()]) {
      const place = this.#placeOf(key)
      if (wasAway || place === undefined || disk.objects.get(key)?.place !== place) disk.setAside(key, this.#lastEpoch)
    }
    this.#lastEpoch = this.#cluster.epoch
    this.#missing.clear()
    for (const key of this.#cluster.keys()) {
      const place = this.#placeOf(key)
      if (place !== undefined && !disk.objects.has(key)) this.#missing.set(key, place)
    }
    this.#begin(true)
  }

  /** A disk is gone, or is back: some objects are fetched again, and the epoch stays. */
  beginDisk(lost: (key: number) => boolean): void {
    const { disk } = this.#sheep
    for (const [key, strip] of [...disk.objects]) {
      if (!lost(key)) continue
      disk.objects.delete(key)
      this.#missing.set(key, strip.place)
    }
    this.#begin(false)
    this.#seenAt = this.#cluster.agenda.now + SEEN_AFTER_MS
    this.#cluster.agenda.after(SEEN_AFTER_MS, () => {
      this.#whenSeen = new Map(Array.from(disk.objects, ([key, { image }]) => [key, image.clone()]))
    })
  }

  /** The process ends, or the cluster is formatted. */
  stop(): void {
    this.#round++
    this.#phase = 'none'
    this.#missing.clear()
    this.#fetches = 0
  }

  /** The object as it is here, fetched first when that is due; undefined when nobody has it who can be asked. */
  obtain(key: number, place: number): Strip | undefined {
    const here = this.#sheep.disk.objects.get(key)
    if (!this.#missing.has(key)) return here?.place === place ? here : undefined
    const fetched = this.#fetch(key, place)
    if (!fetched) return undefined
    this.#missing.delete(key)
    const strip = { place, image: fetched.image.clone() }
    this.#sheep.disk.objects.set(key, strip)
    if (this.#phase !== 'none' && this.#sheep.random.chance(0.6)) this.#endLater(key, fetched)
    return strip
  }

  /** A new object takes the place of what was to be fetched; a fetch that is under way does not know. */
  replaced(key: number): void {
    this.#missing.delete(key)
  }

  #begin(isOfEpoch: boolean): void {
    const round = ++this.#round
    const { random } = this.#sheep
    this.#isOfEpoch = isOfEpoch
    this.#fetches = 0
    this.#phase = 'listing'
    this.#total = this.#missing.size
    const queue = [...this.#missing.keys()]
    const next = (): void => {
      if (round !== this.#round) return
      this.#phase = 'fetching'
      let key = queue.shift()
      while (key !== undefined && !this.#missing.has(key)) key = queue.shift()
      if (key === undefined) this.#endWhenDone(round)
      else {
        const wanted = key
        const place = this.#missing.get(wanted) ?? 0
        const fetched = this.#fetch(wanted, place)
        this.#cluster.agenda.after(FETCH_MS.least + random.next() * FETCH_MS.spread, () => {
          if (round !== this.#round) return
          if (fetched) this.#endFetch(wanted, { place, image: fetched.image })
          else if (this.#cluster.isAnyFrozen) queue.push(wanted)
          next()
        })
      }
    }
    this.#cluster.agenda.after(LISTING_MS.least + random.next() * LISTING_MS.spread, next)
  }

  /** Of the queue: the object may be here already, fetched for a request, or made anew. */
  #endFetch(key: number, { place, image }: Strip): void {
    if (this.#missing.delete(key)) this.#sheep.disk.objects.set(key, { place, image: image.clone() })
    else this.#overwrite(key, { place, image })
  }

  #endWhenDone(round: number): void {
    if (round !== this.#round) return
    if (this.#fetches > 0) {
      this.#cluster.agenda.after(10, () => {
        this.#endWhenDone(round)
      })
      return
    }
    this.#phase = 'none'
    this.#cluster.noticeRecovered()
  }

  #endLater(key: number, fetched: Strip): void {
    const round = this.#round
    const image = fetched.image.clone()
    this.#fetches++
    this.#cluster.agenda.after(this.#sheep.random.next() * LATEST_MS, () => {
      if (round !== this.#round) return
      this.#fetches--
      this.#overwrite(key, { ...fetched, image })
    })
  }

  /** A late fetch ends: what was written since it began is undone. */
  #overwrite(key: number, fetched: Strip): void {
    const present = this.#sheep.disk.objects.get(key)
    const kind = kindOf(oidOf(key))
    if (kind === 'ledger') return // what was counted stays counted in this model, as what a snapshot did to its inode
    if (kind === 'inode') this.#undoNewEntries(key, present?.image, fetched.image)
    else {
      if (present && !present.image.equals(fetched.image)) this.#tell(key, present.image)
      this.#sheep.disk.objects.set(key, { place: fetched.place, image: fetched.image.clone() })
    }
  }

  #undoNewEntries(key: number, present: StoredObject | undefined, fetched: StoredObject): void {
    if (!present) return
    const before = present.clone()
    let isUndone = false
    const size = 4 * MOST_ENTRIES
    const [now, then] = [new Uint8Array(size), new Uint8Array(size)]
    present.read(INODE_HEADER_SIZE, now)
    fetched.read(INODE_HEADER_SIZE, then)
    for (let at = 0; at < size; at += 4) {
      const isNew = then.subarray(at, at + 4).every((byte) => byte === 0)
      if (!isNew || now.subarray(at, at + 4).every((byte) => byte === 0)) continue
      present.write(INODE_HEADER_SIZE + at, new Uint8Array(4))
      isUndone = true
    }
    if (isUndone) this.#tell(key, before)
  }

  /** `lost`: what was there, until now. */
  #tell(key: number, lost: StoredObject): void {
    const wasSeen = this.#cluster.agenda.now >= this.#seenAt
    const isOfBefore = !wasSeen || this.#whenSeen.get(key)?.equals(lost) === true
    const cause = isOfBefore ? 'fetch before a disk change was seen' : 'fetch without an epoch'
    this.#cluster.scar(this.#isOfEpoch ? 'late fetch' : cause, oidOf(key))
  }

  /** From the latest earlier epoch in which a holder has it and can be asked. */
  #fetch(key: number, place: number): Strip | undefined {
    const oid = oidOf(key)
    const coded = this.#cluster.stripsOf(oid)
    let passedOver: Strip | undefined
    for (let epoch = this.#isOfEpoch ? this.#cluster.epoch - 1 : this.#cluster.epoch; epoch >= 1; epoch--) {
      const holders = this.#cluster.holdersIn(epoch, oid)
      const asked = coded ? [holders[place]] : holders
      for (const holder of asked) {
        if (!holder) continue
        const isWanted = (strip: Strip | undefined): strip is Strip =>
          strip !== undefined && (!coded || strip.place === place)
        const strip = [holder.disk.objects.get(key), holder.disk.findStale(key, epoch)].find(isWanted)
        if (!strip) continue
        if (!holder.isServing) {
          passedOver ??= strip
          continue
        }
        if (coded && holder === this.#sheep) this.#cluster.scar('stale strip', oid)
        else if (passedOver && !passedOver.image.equals(strip.image)) this.#cluster.scar('older copy', oid)
        return strip
      }
    }
    return coded ? this.#rebuilt(key, place, coded.data) : undefined
  }

  #rebuilt(key: number, place: number, data: number): Strip | undefined {
    if (this.#rebuilding.has(key)) return undefined
    this.#rebuilding.add(key)
    const others = this.#cluster
      .holders(oidOf(key))
      .flatMap((sheep, other) => (other !== place && sheep.isServing ? (sheep.recovery.obtain(key, other) ?? []) : []))
    this.#rebuilding.delete(key)
    const used = Math.max(0, ...others.map(({ image }) => image.usedBefore(Infinity)))
    const into = new Uint8Array(used)
    if (!readStrips(others, data, { offset: 0, into })) return undefined
    const image = new StoredObject()
    image.write(0, into)
    return { place, image }
  }

  #placeOf(key: number): number | undefined {
    const oid = oidOf(key)
    const place = this.#cluster.holders(oid).indexOf(this.#sheep)
    if (place === -1) return undefined
    return this.#cluster.stripsOf(oid) ? place : 0
  }
}
