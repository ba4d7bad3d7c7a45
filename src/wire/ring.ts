import { fnv1a, littleEndian, sdHash, sdHashOid, walkHash, type U64 } from './fnv.ts'
import type { NodeRecord } from './node-record.ts'
import type { ObjectId } from './object-id.ts'

const DISK_SPACE_PER_VNODE = 2 ** 32
/** Positions that are hashed or sorted between two yields of a build: a few milliseconds. */
const SLICE = 32_768
/** What it costs to begin a walk, in positions. */
const PER_WALK = 32
/** Of 16 PiB of disks, at 4 GiB each; 80 MiB while it is built. */
const MOST_POSITIONS = 2 ** 22
/** What a pass of the sort looks at, of each word: three passes make a word. */
const DIGITS = [
  { shift: 0, mask: 0x7ff },
  { shift: 11, mask: 0x7ff },
  { shift: 22, mask: 0x3ff },
] as const

/** Places on the ring. A whole cluster in disk mode has millions: 10 bytes each. */
interface Positions {
  readonly high: Uint32Array
  readonly low: Uint32Array
  /** Index into the node list. */
  readonly owner: Uint16Array
}

/** So many positions in a row, found by hashing on from a seed. */
interface Walk {
  readonly seed: () => U64
  readonly count: number
  readonly owner: number
}

/**
 * The consistent-hash ring of a node list: which nodes hold an object (docs/sheepdog-protocol.md#9.2). A
 * client's choice is only an optimisation, so a stale ring is harmless.
 */
export class Ring {
  readonly #positions: Positions
  /** By node: the number of its zone. */
  readonly #zoneOf: Uint16Array
  readonly #zones: number

  private constructor(positions: Positions, zoneOf: Uint16Array, zones: number) {
    this.#positions = positions
    this.#zoneOf = zoneOf
    this.#zones = zones
  }

  /** How many positions there are. */
  get size(): number {
    return this.#positions.owner.length
  }

  /** @param diskMode cluster flag 0x02: positions come from the disks of a node, not from its vnodes. */
  static of(nodes: readonly NodeRecord[], diskMode = false): Ring {
    const building = Ring.build(nodes, diskMode)
    for (;;) {
      const { done, value } = building.next()
      if (done === true) return value
    }
  }

  /** As `of`, for rings of millions of positions: yields whenever others may have their turn. RangeError at once: too many. */
  static *build(nodes: readonly NodeRecord[], diskMode = false): Generator<undefined, Ring> {
    const walks = nodes.flatMap((node, owner) => (diskMode ? diskWalks(node, owner) : [vnodeWalk(node, owner)]))
    const counts = new Float64Array(nodes.length)
    for (const { owner, count } of walks) counts[owner] = (counts[owner] ?? 0) + count
    // sheep counts the vnodes of a node in 16 bits, and takes one that has 0 for a gateway (internal_proto.h, group.c)
    const zones = new Set(nodes.filter((_, owner) => ((counts[owner] ?? 0) & 0xffff) !== 0).map((node) => node.zone))
    const numbers = new Map([...new Set(nodes.map((node) => node.zone))].map((zone, number) => [zone, number]))
    const zoneOf = Uint16Array.from(nodes, (node) => numbers.get(node.zone) ?? 0)
    return new Ring(yield* sorted(yield* hashed(walks)), zoneOf, zones.size)
  }

  /** Indices into the node list of the nodes that hold `oid`, in order of the ring; one per zone, at most `copies`. */
  holders(oid: ObjectId, copies: number): number[] {
    const { owner: owners } = this.#positions
    const wanted = Math.min(copies, this.#zones)
    const chosen: number[] = []
    const isTaken = new Uint8Array(this.#zoneOf.length)
    let place = this.#firstAtOrAfter(sdHashOid(oid))
    for (let left = owners.length; left > 0 && chosen.length < wanted; left--, place++) {
      if (place === owners.length) place = 0
      const owner = owners[place] ?? 0
      const zone = this.#zoneOf[owner] ?? 0
      if (isTaken[zone] === 1) continue
      isTaken[zone] = 1
      chosen.push(owner)
    }
    return chosen
  }

  #firstAtOrAfter(hash: U64): number {
    let from = 0
    let to = this.#positions.high.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (isBefore(this.#positions, middle, hash)) from = middle + 1
      else to = middle
    }
    return from
  }
}

function isBefore({ high, low }: Positions, at: number, hash: U64): boolean {
  const own = high[at] ?? 0
  return own < hash.high || (own === hash.high && (low[at] ?? 0) < hash.low)
}

function nodeSeed(node: NodeRecord): U64 {
  const key = new Uint8Array(18)
  key.set(node.addr)
  key.set([node.port & 0xff, node.port >> 8], 16)
  return sdHash(key)
}

function vnodeWalk(node: NodeRecord, owner: number): Walk {
  return { seed: () => nodeSeed(node), count: node.nrVnodes, owner }
}

function diskWalks(node: NodeRecord, owner: number): Walk[] {
  let known: Uint8Array | undefined
  const start = (): Uint8Array => (known ??= littleEndian(nodeSeed(node)))
  return node.disks.map(({ idHigh, idLow, space }) => ({
    seed: () => fnv1a(start(), { high: idHigh, low: idLow }),
    count: Math.ceil(space / DISK_SPACE_PER_VNODE),
    owner,
  }))
}

function newPositions(count: number): Positions {
  return { high: new Uint32Array(count), low: new Uint32Array(count), owner: new Uint16Array(count) }
}

function* hashed(walks: readonly Walk[]): Generator<undefined, Positions> {
  const total = walks.reduce((sum, { count }) => sum + count, 0)
  if (total > MOST_POSITIONS) throw new RangeError(`a ring of ${total} positions: expected at most ${MOST_POSITIONS}`)
  const positions = newPositions(total)
  const { high, low, owner } = positions
  let at = 0
  let sinceYield = 0
  for (const { seed, count, owner: node } of walks) {
    owner.fill(node, at, at + count)
    sinceYield += PER_WALK
    for (let from = seed(), end = at + count; at < end;) {
      const next = Math.min(end, at + Math.max(1, SLICE - sinceYield))
      walkHash(from, high.subarray(at, next), low.subarray(at, next))
      from = { high: high[next - 1] ?? 0, low: low[next - 1] ?? 0 }
      sinceYield += next - at
      at = next
      if (sinceYield < SLICE) continue
      sinceYield = 0
      yield
    }
  }
  yield
  return positions
}

/**
 * By a radix sort, lower word first. Other sorts rely on positions that are spread evenly, being hashes: but who makes up nodes
 * and disks chooses them.
 */
function* sorted(from: Positions): Generator<undefined, Positions> {
  let source = from
  let target = newPositions(from.owner.length)
  for (const word of ['low', 'high'] as const) {
    for (const { shift, mask } of DIGITS) {
      const places = yield* firstPlaces(source[word], shift, mask)
      for (let at = 0; at < source.owner.length; at += SLICE) {
        if (at > 0) yield
        scatter(source, target, { at, word, shift, mask, places })
      }
      ;[source, target] = [target, source]
    }
    if (word === 'low' && source.owner.length > 0) yield
  }
  return source
}

/** By digit: where the first position with it goes. */
function* firstPlaces(words: Uint32Array, shift: number, mask: number): Generator<undefined, Uint32Array> {
  const places = new Uint32Array(mask + 1)
  for (let at = 0; at < words.length; at++) {
    const digit = ((words[at] ?? 0) >>> shift) & mask
    places[digit] = (places[digit] ?? 0) + 1
    if (at % SLICE === SLICE - 1) yield
  }
  let sum = 0
  for (let digit = 0; digit <= mask; digit++) {
    const count = places[digit] ?? 0
    places[digit] = sum
    sum += count
  }
  return places
}

interface Pass {
  readonly at: number
  readonly word: 'high' | 'low'
  readonly shift: number
  readonly mask: number
  /** By digit: where the next position with it goes. */
  readonly places: Uint32Array
}

/** Moves a slice of positions to their places, in order. */
function scatter(source: Positions, target: Positions, { at, word, shift, mask, places }: Pass): void {
  const words = source[word]
  const end = Math.min(at + SLICE, words.length)
  for (let from = at; from < end; from++) {
    const digit = ((words[from] ?? 0) >>> shift) & mask
    const to = places[digit] ?? 0
    places[digit] = to + 1
    target.high[to] = source.high[from] ?? 0
    target.low[to] = source.low[from] ?? 0
    target.owner[to] = source.owner[from] ?? 0
  }
}
