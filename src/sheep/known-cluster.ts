import type { Clock } from '../clock.ts'
import { SheepfsError } from '../errors.ts'
import { ClusterFlag } from '../wire/info-ops.ts'
import type { ObjectId } from '../wire/object-id.ts'
import { SD_SHEEP_PROTO_VERS } from '../wire/sd-proto.ts'
import { addressText } from './address.ts'
import type { Topology } from './topology.ts'

/** Epochs in a row whose nodes are remembered, and places on all their rings: in disk mode one has up to 2^22, of 10 bytes. */
const MAX_PATH = 4
const MAX_PATH_POSITIONS = 2 ** 22
/** Those that were seen first are forgotten first. */
const MAX_STORES = 2 ** 14

/** What does not change in the life of a cluster, and how it is spoken to. */
export interface ClusterFormat {
  /** Version for internal operations: 0x0a, 0x09 or 0x08. */
  readonly protoVer: number
  /** See `ClusterFlag`. */
  readonly flags: number
  /** When it was formatted: no two clusters have the same. */
  readonly ctime: string
  /** Its inodes are laid out as those of 0.7 and 0.8 are (docs/sheepdog-protocol.md#3.3). */
  readonly hasOldInodes: boolean
}

const UNKNOWN: Omit<ClusterFormat, 'ctime'> & { readonly ctime: string | undefined } = {
  protoVer: SD_SHEEP_PROTO_VERS[0],
  flags: 0,
  ctime: undefined,
  hasOldInodes: false,
}

/** All that is known of a cluster, whoever has learnt it: how it was formatted, its nodes, its epoch, its recovery. */
export class KnownCluster {
  readonly #clock: Clock
  #format = UNKNOWN
  #generation = 0
  #topology: Topology | undefined
  #epoch = 0
  #since = 0
  #recovered = 0
  #isListed = false
  #diskRecoveries = 0
  /** Every node that stores objects, of all lists so far. */
  readonly #stores = new Set<string>()
  /** The nodes of the recovered epoch and of each since; empty when one of them is not known. */
  #path: Topology[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get protoVer(): number {
    return this.#format.protoVer
  }

  /** See `ClusterFormat`. */
  get hasOldInodes(): boolean {
    return this.#format.hasOldInodes
  }

  /** See `ClusterFormat`. */
  get ctime(): string | undefined {
    return this.#format.ctime
  }

  /** How often the cluster has become another one. */
  get generation(): number {
    return this.#generation
  }

  get hasLocking(): boolean {
    return (this.#format.flags & ClusterFlag.LOCKING) !== 0
  }

  get isInDiskMode(): boolean {
    return (this.#format.flags & ClusterFlag.DISK_MODE) !== 0
  }

  /** The latest node list; it may be of an earlier epoch than the present one. */
  get topology(): Topology | undefined {
    return this.#topology
  }

  /** The latest that a sheep has answered with; 0: none has. */
  get epoch(): number {
    return this.#epoch
  }

  /** When the epoch began, as far as we know: a time of the clock. */
  get since(): number {
    return this.#since
  }

  /** The latest epoch that all sheep have reached with nothing left to recover; 0: none. */
  get recovered(): number {
    return this.#recovered
  }

  /** Whether all sheep know what they have to recover: an object that none of them has will not appear any more. */
  get isListed(): boolean {
    return this.#isListed
  }

  /** Recoveries that were seen to begin without a new epoch. */
  get diskRecoveries(): number {
    return this.#diskRecoveries
  }

  /** Nodes that stored objects and are away now, `host:port`. */
  get absent(): string[] {
    const present = new Set(this.#topology?.addresses.map(addressText))
    return [...this.#stores].filter((store) => !present.has(store))
  }

  /** Whether no node is known to have come or gone since. */
  isPresent(epoch: number): boolean {
    return epoch === this.#epoch
  }

  /** Whether no sheep has become a holder of the object, or another strip of it, since the epoch. */
  isAtRest(oid: ObjectId, copies: number, since: number): boolean {
    const [first] = this.#path
    const now = this.#path.at(-1)
    if (!first || first.epoch > since || now?.epoch !== this.#epoch) return false
    const places = (topology: Topology): string => topology.holders(oid, copies).map(addressText).join()
    const present = places(now)
    return this.#path.every((topology) => places(topology) === present)
  }

  learnFormat(format: ClusterFormat): void {
    this.#format = format
  }

  /** It is another cluster from now on: nothing that was known is true of it. */
  learnOther(ctime: string): void {
    this.#generation++
    this.#format = { ...UNKNOWN, ctime }
    this.#topology = undefined
    this.#stores.clear()
    this.#epoch = 0
    this.#recovered = 0
    this.#isListed = false
    this.#path = []
  }

  /** Why nothing can be asked of the cluster of that generation any more; undefined while it is the present one. */
  failureOf(generation: number): SheepfsError | undefined {
    if (generation === this.#generation) return undefined
    return new SheepfsError('stale', 'the sheep belong to another cluster now, or it was formatted: attach it again')
  }

  /** Errors: stale, as `failureOf` says. */
  check(generation: number): void {
    const failure = this.failureOf(generation)
    if (failure) throw failure
  }

  /** An epoch that a sheep has answered with. Returns whether sheep came or went since the one that was known. */
  learnEpoch(epoch: number): boolean {
    if (epoch <= this.#epoch) return false
    const isFirst = this.#epoch === 0
    this.#epoch = epoch
    this.#since = this.#clock.now()
    this.#isListed = false
    return !isFirst
  }

  /** A node list. Returns as `learnEpoch`. */
  learnNodes(topology: Topology): boolean {
    this.#topology = topology
    this.#noteStores(topology)
    const isChange = this.learnEpoch(topology.epoch)
    const last = this.#path.at(-1)
    if (last?.epoch === topology.epoch) this.#path.splice(-1, 1, topology)
    else if (last?.epoch === topology.epoch - 1 && this.#path.length < MAX_PATH) this.#path.push(topology)
    else this.#path = []
    if (this.#path.reduce((sum, { positions }) => sum + positions, 0) > MAX_PATH_POSITIONS) this.#path = []
    return isChange
  }

  /** Sheep recover again, in an epoch that was recovered. */
  learnDiskRecovery(): void {
    this.#diskRecoveries++
    this.#recovered = 0
    this.#isListed = false
    this.#path = []
  }

  learnListed(): void {
    this.#isListed = true
  }

  /** The recovery of the present epoch is over. */
  learnRecovered(): void {
    this.#recovered = this.#epoch
    this.#path = this.#topology?.epoch === this.#epoch ? [this.#topology] : []
  }

  #noteStores({ stores }: Topology): void {
    for (const store of stores) this.#stores.add(store)
    for (const store of this.#stores) {
      if (this.#stores.size <= MAX_STORES) return
      this.#stores.delete(store)
    }
  }
}
