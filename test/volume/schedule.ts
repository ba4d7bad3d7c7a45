import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { isSheepfsError } from '../../src/errors.ts'
import { silentLogger } from '../../src/log.ts'
import type { Cluster } from '../../src/sheep/cluster.ts'
import { openVolume } from '../../src/volume/open-volume.ts'
import type { Volume } from '../../src/volume/volume.ts'
import { randomScript } from '../sheep/random-script.ts'
import { Random } from '../sheep/random.ts'
import { FAST, startCluster, type StagedCluster } from '../sheep/staged-cluster.ts'
import { SharedBytes } from './shared-bytes.ts'

const NAME = 'vdi'
const SPEC = { name: new TextEncoder().encode(NAME) }
const WRITERS = 3

/** How much happens in a schedule. */
interface Course {
  /** Of each writer. */
  readonly operations: number
  /** How often nodes come or go, at most. */
  readonly epochs: number
  /** How many of the operations on own segments give space back, of 1. */
  readonly discards: number
}

const COURSES: readonly Course[] = [
  { operations: 12, epochs: 4, discards: 0.15 },
  { operations: 30, epochs: 12, discards: 0.35 },
]

interface Segment {
  readonly start: number
  readonly end: number
  /** Whose it is; `undefined`: anybody's. */
  readonly writer: number | undefined
}

/** One run of several writers against a cluster in which everything goes wrong, from one seed. */
class Schedule {
  readonly #random: Random
  readonly #stage: StagedCluster
  readonly #volume: Volume
  readonly #segments: Segment[]
  readonly #expected: Uint8Array
  readonly #shared = new SharedBytes()
  readonly #course: Course
  #snapshots = 0
  #epochs = 0
  #isOver = false

  constructor(random: Random, stage: StagedCluster, volume: Volume) {
    this.#random = random
    this.#stage = stage
    this.#volume = volume
    this.#course = random.pick(COURSES)
    this.#segments = cut(random, volume.size, volume.objectSize)
    this.#expected = new Uint8Array(volume.size)
  }

  async run(): Promise<void> {
    const disturbance = this.#disturb()
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(writer)))
    this.#isOver = true
    await disturbance
  }

  /** Compares what is stored with what was acknowledged. */
  verify(content: Uint8Array, by: string): void {
    for (const { start, end, writer } of this.#segments) {
      if (writer === undefined) assert.equal(this.#shared.firstWrong(content, start, end), undefined, by)
      else assert.equal(firstDifference(content, this.#expected, start, end), undefined, by)
    }
  }

  async #write(writer: number): Promise<void> {
    const own = this.#segments.filter((segment) => segment.writer === writer || segment.writer === undefined)
    for (let operation = 0; operation < this.#course.operations; operation++) {
      const segment = this.#random.pick(own)
      const dice = this.#random.next()
      if (segment.writer === undefined) await this.#writeShared(segment)
      else if (dice < this.#course.discards) await this.#zeroOwn(segment)
      else if (dice < 0.75) await this.#writeOwn(segment)
      else if (dice < 0.9) await this.#readOwn(segment)
      else await this.#volume.sync()
    }
  }

  async #writeOwn(segment: Segment): Promise<void> {
    const { start, end } = this.#part(segment)
    const bytes = this.#random.bytes(end - start)
    assert.equal(await this.#volume.write(start, bytes), bytes.length)
    this.#expected.set(bytes, start)
  }

  async #zeroOwn(segment: Segment): Promise<void> {
    const { start, end } = this.#random.chance(0.5) ? segment : this.#part(segment)
    await this.#volume.zero(start, end - start)
    this.#expected.fill(0, start, end)
  }

  async #readOwn(segment: Segment): Promise<void> {
    const { start, end } = this.#part(segment)
    const bytes = new Uint8Array(end - start).fill(0xaa)
    await this.#volume.read(start, bytes)
    assert.deepEqual(Buffer.from(bytes), Buffer.from(this.#expected.subarray(start, end)), `read at ${start}`)
  }

  async #writeShared(segment: Segment): Promise<void> {
    const { start, end } = this.#part(segment)
    const value = this.#random.below(255) + 1
    const ended = this.#shared.begin(start, end, value)
    await this.#volume.write(start, new Uint8Array(end - start).fill(value))
    ended()
  }

  #part({ start, end }: Segment): { start: number; end: number } {
    const from = start + this.#random.below(end - start)
    return { start: from, end: from + 1 + this.#random.below(end - from) }
  }

  async #disturb(): Promise<void> {
    while (!this.#isOver) {
      await pause(this.#random.below(20))
      const dice = this.#random.next()
      if (dice < 0.2 && this.#snapshots < 3) await this.#snapshot()
      else if (dice < 0.3) await this.#restartSheep()
      else if (dice < 0.4) this.#random.pick(this.#stage.sheep).cutAll()
      else if (dice < 0.5 && this.#epochs < this.#course.epochs) this.#changeEpoch()
      else if (dice < 0.55) await this.#volume.refresh()
    }
  }

  async #snapshot(): Promise<void> {
    this.#snapshots++
    await this.#stage.model.snapshot(NAME, `s${this.#snapshots}`, this.#random.below(8))
  }

  async #restartSheep(): Promise<void> {
    const sheep = this.#random.pick(this.#stage.sheep)
    await sheep.stop()
    await pause(this.#random.below(10))
    await sheep.start()
  }

  #changeEpoch(): void {
    this.#epochs++
    const all = this.#stage.sheep.map(({ address }, zone) => ({ port: address.port, zone }))
    const some = all.filter(() => this.#random.chance(0.7))
    const nodes = (some.length > 0 ? some : all).sort((a, b) => a.port - b.port)
    const latest = FAST.recoveryOverlapMs - 10
    this.#stage.model.changeNodes(nodes, this.#random.below(60), () => this.#random.below(latest))
  }
}

/** Runs the schedule of a seed; rejects when an acknowledged byte is lost, a rule of the wire is broken, or anything fails. */
export async function runSchedule(seed: number): Promise<void> {
  const random = new Random(seed)
  const stage = await startCluster(1 + random.below(3))
  try {
    const shift = random.pick([9, 12])
    stage.model.createVdi(NAME, (4 + random.below(12)) * 2 ** shift - random.below(100), { shift })
    stage.model.removalDelayMs = () => random.below(40)
    const cluster = await opened(stage)
    const volume = await openVolume(cluster, SPEC, { log: silentLogger() })
    const script = randomScript(random, faultRates(random))
    for (const sheep of stage.sheep) sheep.script = script
    const schedule = new Schedule(random, stage, volume)
    await schedule.run()
    await volume.close()
    for (const sheep of stage.sheep) sheep.script = () => ({ kind: 'answer' })
    assert.deepEqual(stage.rules.violations, [])
    schedule.verify(stage.model.content(volume.vid), 'in the cluster')
    const again = await openVolume(await opened(stage), SPEC, { log: silentLogger(), readOnly: true })
    const content = new Uint8Array(again.size)
    await again.read(0, content)
    schedule.verify(content, 'attached again')
  } finally {
    await stage.close()
  }
}

/** A client of a cluster in which nothing goes wrong yet, but which shares a machine that may be starved. */
async function opened(stage: StagedCluster): Promise<Cluster> {
  for (;;) {
    try {
      return await stage.open()
    } catch (error) {
      if (!isSheepfsError(error, 'timeout')) throw error
    }
  }
}

/** Some schedules are quiet, some are hell. */
function faultRates(random: Random) {
  const scale = random.pick([0, 0.3, 1, 2])
  return { refuse: 0.03 * scale, missing: 0.02 * scale, cut: 0.03 * scale, silent: 0.002 * scale, lie: 0.01 * scale }
}

/** Cuts a volume in segments; some begin with an object, so that whole objects are discarded. */
function cut(random: Random, size: number, objectSize: number): Segment[] {
  const count = 6 + random.below(10)
  const place = (): number => {
    const at = random.below(size)
    return random.chance(0.5) ? at : at - (at % objectSize)
  }
  const cuts = new Set([0, size, ...Array.from({ length: count }, place)])
  while (cuts.size <= WRITERS) cuts.add(place()) // each has a segment of its own
  const places = [...cuts].sort((a, b) => a - b)
  const owners = [undefined, ...Array.from({ length: WRITERS }, (_, writer) => writer)]
  return places.slice(1).map((end, i) => {
    const writer = i < WRITERS ? i : random.pick([...owners.keys()])
    return { start: places[i] ?? 0, end, writer: i < WRITERS ? i : owners[writer] }
  })
}

function firstDifference(a: Uint8Array, b: Uint8Array, start: number, end: number): string | undefined {
  for (let at = start; at < end; at++) {
    if (a[at] !== b[at]) return `byte ${at} (of ${start} to ${end}) is ${a[at]}: expected ${b[at]}`
  }
  return undefined
}
