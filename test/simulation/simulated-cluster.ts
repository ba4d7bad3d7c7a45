import type { ClusterRecord, ClusterSettings } from '../../src/lamb/cluster-file.ts'
import { LambNode } from '../../src/lamb/node.ts'
import { releases } from '../../src/lamb/release.ts'
import { silentLogger } from '../../src/log.ts'
import { erasureStrips, Inode, INODE_HEAD_SIZE } from '../../src/wire/inode.ts'
import { viewOf } from '../../src/wire/field.ts'
import { encodeNodeRecord, parseAddr, type NodeRecord } from '../../src/wire/node-record.ts'
import { kindOf, vidOf, type ObjectId } from '../../src/wire/object-id.ts'
import { Ring } from '../../src/wire/ring.ts'
import type { Random } from '../sheep/random.ts'
import { SheepRules } from '../sheep/sheep-rules.ts'
import type { Agenda } from './agenda.ts'
import { BEGIN_MS, Host } from './host.ts'
import type { Network } from './network.ts'
import { keyOf, oidOf } from './object-key.ts'
import { SimulatedSheep } from './simulated-sheep.ts'
import { SpreadStore } from './spread-store.ts'
import type { StoredObject } from './stored-object.ts'

/** A request that waits for nodes is looked at again after this. */
const PARK_MS = 500
/** Few, so that a ring is made quickly. */
const VNODES = 5
const DETECTION_MS = { least: 100, spread: 2500 } as const

/** How an object is kept. */
interface Layout {
  readonly copies: number
  readonly copyPolicy: number
}

export interface ClusterPlan {
  /** Of its hosts too. */
  readonly name: string
  readonly firstPort: number
  readonly nodes: number
  readonly settings: Omit<ClusterSettings, 'ctime' | 'storeName'>
}

/** `index` of a data object; undefined: of an inode, or of all. */
export interface Scar {
  readonly cause: string
  readonly index: number | undefined
}

/** Members and placement in one epoch. */
interface EpochMembers {
  readonly members: readonly SimulatedSheep[]
  readonly ring: Ring
  readonly placed: Map<number, readonly SimulatedSheep[]>
  /** When it began, since 1970. */
  readonly seconds: number
}

/**
 * A cluster of sheep: who is a member in which epoch, who holds which object, what recovers. Its objects, VDIs, snapshots,
 * reference counts and locks are those of the lamb's core, which works on the disks of all nodes.
 */
export class SimulatedCluster implements ClusterRecord {
  readonly name: string
  readonly agenda: Agenda
  readonly network: Network
  readonly random: Random
  readonly sheep: readonly SimulatedSheep[]
  readonly store: SpreadStore
  readonly core: LambNode
  readonly rules: SheepRules
  /** Told when the client breaks a rule of the protocol. */
  onViolation: (what: string) => void = () => undefined
  settings: ClusterSettings
  #epochs: EpochMembers[] = []
  readonly #layouts = new Map<number, Layout>()
  /** All processes have ended; those that are back wait for the others. */
  #isWaiting = false
  /** How often all were away. */
  #outages = 0
  readonly #waiters = new Set<() => void>()
  /** Objects that were asked for while only nodes had them that were away. */
  readonly #away = new Set<number>()
  /** What has happened to objects that may show in a failed check, by which that is told apart. */
  readonly scars: Scar[] = []

  constructor(plan: ClusterPlan, network: Network, random: Random) {
    this.name = plan.name
    this.network = network
    this.agenda = network.agenda
    this.random = random
    this.settings = { ...plan.settings, storeName: 'plain', ctime: this.#newTime() }
    this.store = new SpreadStore(this, random)
    this.sheep = Array.from(
      { length: plan.nodes },
      (_, index) =>
        new SimulatedSheep(this, { index, port: plan.firstPort + index, host: `${plan.name}${index}`, zone: index }),
    )
    const { clock } = new Host(plan.name, network, random).world
    this.core = new LambNode({
      directory: plan.name,
      store: this.store,
      cluster: this,
      clock,
      release: releases['1.0'],
      zones: () => this.members.length,
      hasObjectCache: false,
      seed: random.below(2 ** 31),
      logger: silentLogger(),
    })
    this.rules = new SheepRules({
      has: (oid) => this.store.exists(oid),
      isRemoving: ({ index, high }) => this.core.references.isWaiting(high, index),
      entry: (vid, index) => this.store.entry(vid, index),
    })
    this.#holdSnapshots()
    this.core.address = { addr: ADDR, ports: this.sheep.map(({ address }) => address.port), space: 0, zone: 0 }
    this.#epochs = [this.#epochOf(this.sheep)]
    for (const sheep of this.sheep) sheep.begin()
  }

  get epoch(): number {
    return this.#epochs.length
  }

  get members(): readonly SimulatedSheep[] {
    return this.#epochs.at(-1)?.members ?? []
  }

  get isWaiting(): boolean {
    return this.#isWaiting
  }

  /** Every member runs, and nothing is being recovered. */
  get isCalm(): boolean {
    return (
      !this.#isWaiting && this.members.every(({ isServing, recovery }) => isServing && recovery.state.phase === 'none')
    )
  }

  /** Some VDI has more strips than there are zones: nothing of it is to be written. */
  get isShortOfZones(): boolean {
    const layouts = [...this.#layouts.values(), this.settings]
    const zones = this.members.length
    return layouts.some(({ copies, copyPolicy }) => copyPolicy !== 0 && copies > zones)
  }

  /** Something was asked for that only nodes have which do not run: it is waited for. */
  get isShortOfHolders(): boolean {
    const has = ({ isRunning, disk }: SimulatedSheep, key: number): boolean =>
      isRunning && (disk.objects.has(key) || disk.stale.has(key))
    for (const key of this.#away) if (this.sheep.some((sheep) => has(sheep, key))) this.#away.delete(key)
    return this.#away.size > 0 && this.sheep.some(({ isRunning }) => !isRunning)
  }

  open(): void {
    // it is always there
  }

  format(settings: ClusterSettings): void {
    this.settings = settings
    this.#layouts.clear()
    this.#epochs = [this.#epochOf(this.sheep.filter(({ isRunning }) => isRunning))]
    for (const sheep of this.sheep) sheep.recovery.stop()
    this.#tellEpoch()
  }

  /** `dog cluster format`: everything is gone, and the epochs begin anew. */
  reformat(): void {
    this.core.format({ ...this.settings, ctime: this.#newTime() })
  }

  /** When an epoch began, in seconds since 1970. */
  beginOf(epoch: number): number {
    return this.#epochs[epoch - 1]?.seconds ?? 0
  }

  /** Members of an epoch that is over, or of the present one; none of one that never was. */
  membersIn(epoch: number): readonly SimulatedSheep[] {
    return this.#epochs[epoch - 1]?.members ?? []
  }

  holders(oid: ObjectId): readonly SimulatedSheep[] {
    return this.holdersIn(this.epoch, oid)
  }

  holdersIn(epoch: number, oid: ObjectId): readonly SimulatedSheep[] {
    const known = this.#epochs[epoch - 1]
    if (!known) return []
    const key = keyOf(oid)
    const placed = known.placed.get(key)
    if (placed) return placed
    const { copies } = this.#layoutOf(oid)
    const holders = known.ring.holders(oid, copies).flatMap((owner) => known.members[owner] ?? [])
    known.placed.set(key, holders)
    return holders
  }

  /** Data strips of an erasure-coded object. */
  stripsOf(oid: ObjectId): { readonly data: number; readonly parity: number } | undefined {
    return kindOf(oid) === 'data' ? erasureStrips(this.#layoutOf(oid).copyPolicy) : undefined
  }

  /** Every object that some running node has. */
  keys(): Set<number> {
    const keys = new Set<number>()
    for (const { isRunning, disk } of this.sheep) {
      if (!isRunning) continue
      for (const key of disk.objects.keys()) keys.add(key)
      for (const key of disk.stale.keys()) keys.add(key)
    }
    return keys
  }

  /** How a VDI's objects are kept is known from its inode. */
  noticeInode(oid: ObjectId, image: StoredObject): void {
    if (kindOf(oid) !== 'inode') return
    const head = new Uint8Array(INODE_HEAD_SIZE)
    image.read(0, head)
    const view = viewOf(head)
    const layout = { copies: Inode.nrCopies.get(view), copyPolicy: Inode.copyPolicy.get(view) }
    if (!this.#layouts.has(vidOf(oid))) for (const { placed } of this.#epochs) placed.clear()
    this.#layouts.set(vidOf(oid), layout)
  }

  /** Every node runs, and nothing is being recovered. */
  get isWhole(): boolean {
    return this.isCalm && this.members.length === this.sheep.length
  }

  /** A member takes questions and answers none. */
  get isAnyFrozen(): boolean {
    return this.members.some(({ isRunning, isServing }) => isRunning && !isServing)
  }

  /** Calls back once when what waits for nodes may be tried again. */
  whenChanged(run: () => void): void {
    let isOver = false
    const runOnce = (): void => {
      if (isOver) return
      isOver = true
      run()
    }
    this.#waiters.add(runOnce)
    this.agenda.after(PARK_MS, runOnce)
  }

  /** A node's process has ended. The others notice in a while. */
  noticeLoss(sheep: SimulatedSheep): void {
    if (!this.sheep.some(({ isServing }) => isServing)) this.#beginWaiting()
    this.agenda.after(DETECTION_MS.least + this.random.next() * DETECTION_MS.spread, () => {
      if (!sheep.isRunning) this.#leave(sheep)
    })
  }

  /** A node's process has started and wants to take part. */
  join(sheep: SimulatedSheep): void {
    if (this.#isWaiting) {
      if (this.members.every(({ isRunning }) => isRunning)) this.#endWaiting()
      return
    }
    this.#leave(sheep)
    this.#change([...this.members, sheep], sheep)
  }

  /** When all have recovered, what is only kept for others is removed. */
  noticeRecovered(): void {
    this.#wake()
    if (!this.isCalm) return
    for (const { disk } of this.members) disk.stale.clear()
  }

  /** Does what the rules look at; what is broken by it is told. */
  checkRules(look: (rules: SheepRules) => void): void {
    look(this.rules)
    for (const violation of this.rules.violations.splice(0)) this.onViolation(violation)
  }

  /** An object was asked for and not found. */
  noticeMissing(oid: ObjectId): void {
    const key = keyOf(oid)
    const isAway = this.sheep.some(
      ({ isServing, disk }) => !isServing && (disk.objects.has(key) || disk.stale.has(key)),
    )
    if (!isAway) return
    this.#away.add(key)
    this.scar('holders away', oid)
  }

  /** Without an object: it concerns all. */
  scar(cause: string, oid?: ObjectId): void {
    const index = oid === undefined || kindOf(oid) !== 'data' ? undefined : oid.index
    if (this.scars.some((scar) => scar.cause === cause && scar.index === index)) return
    this.scars.push({ cause, index })
    this.network.trace.say(this.agenda.now, () => `${this.name}: ${cause} ${index ?? ''}`)
  }

  records(members: readonly SimulatedSheep[]): Uint8Array {
    return Buffer.concat(members.map((sheep) => encodeNodeRecord(recordOf(sheep))))
  }

  /**
   * A gateway that writes the inodes of a snapshot asks members that do not answer until they do, or are none any more. When
   * all end, so does that.
   */
  #holdSnapshots(): void {
    const { faults } = this.core
    const pause = faults.pauseInSnapshot.bind(faults)
    faults.pauseInSnapshot = async () => {
      const outages = this.#outages
      await pause()
      const isOver = (): boolean => outages !== this.#outages
      while (!isOver() && !this.members.every(({ isServing }) => isServing)) {
        await new Promise<void>((resolve) => {
          this.whenChanged(resolve)
        })
      }
      if (isOver()) throw new Error('the gateway has ended')
    }
  }

  #beginWaiting(): void {
    this.#isWaiting = true
    this.#outages++
    this.core.faults.isWaitingForJoin = true
    this.core.locks.clear()
  }

  #endWaiting(): void {
    this.#isWaiting = false
    this.core.faults.isWaitingForJoin = false
    this.core.table.clear()
    this.core.table.load(this.store)
    this.network.trace.say(this.agenda.now, () => `${this.name}: all members are back`)
    this.#wake()
    for (const sheep of this.sheep) {
      if (sheep.isRunning && !this.members.includes(sheep)) this.#change([...this.members, sheep], sheep)
    }
  }

  #leave(sheep: SimulatedSheep): void {
    const others = this.members.filter((member) => member !== sheep)
    if (this.#isWaiting || others.length === this.members.length || others.length === 0) return
    this.#change(others)
  }

  #change(members: readonly SimulatedSheep[], joined?: SimulatedSheep): void {
    this.#epochs.push(this.#epochOf(members))
    this.network.trace.say(
      this.agenda.now,
      () => `${this.name}: epoch ${this.epoch} of ${members.map(({ host }) => host).join(' ')}`,
    )
    for (const sheep of this.members) sheep.recovery.beginEpoch(sheep === joined)
    if (joined && this.#bringsVdis(joined)) this.core.table.load(this.store)
    this.#tellEpoch()
    this.#wake()
  }

  /** It has inodes that the others do not know: all that have them were away when they started. */
  #bringsVdis({ disk }: SimulatedSheep): boolean {
    const oids = [...disk.objects.keys(), ...disk.stale.keys()].map(oidOf)
    return oids.some((oid) => kindOf(oid) === 'inode' && !this.core.table.get(vidOf(oid)))
  }

  #tellEpoch(): void {
    for (const sheep of this.members) {
      this.agenda.after(this.random.next() * 20, () => {
        sheep.adoptEpoch(this.epoch)
      })
    }
  }

  #wake(): void {
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const run of waiters) run()
  }

  #epochOf(sheep: readonly SimulatedSheep[]): EpochMembers {
    const members = [...sheep].sort((a, b) => a.address.port - b.address.port)
    return { members, ring: Ring.of(members.map(recordOf)), placed: new Map(), seconds: this.#seconds }
  }

  #layoutOf(oid: ObjectId): Layout {
    return this.#layouts.get(vidOf(oid)) ?? this.settings
  }

  get #seconds(): number {
    return Math.floor((BEGIN_MS + this.agenda.now) / 1000)
  }

  #newTime(): ClusterSettings['ctime'] {
    return {
      seconds: this.#seconds,
      nanoseconds: 1000 * this.random.below(1_000_000),
    }
  }
}

const ADDR = parseAddr('10.0.0.1') ?? new Uint8Array(16)

function recordOf({ address, zone }: SimulatedSheep): NodeRecord {
  return { addr: ADDR, port: address.port, nrVnodes: VNODES, zone, space: 2 ** 40, disks: [] }
}
