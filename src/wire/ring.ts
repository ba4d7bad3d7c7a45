import { fnv1a, littleEndian, sdHash, sdHashOid, walkHash, type U64 } from './fnv.ts'
import type { NodeRecord } from './node-record.ts'
import type { ObjectId } from './object-id.ts'

const DISK_SPACE_PER_VNODE = 2 ** 32
/** Positions that are hashed or sorted between two yields of a build: a few milliseconds. */
const SLICE = 32_768
/** Of 32 PiB of disks, at 4 GiB each; 160 MiB while it is built. */
const MOST_POSITIONS = 2 ** 23
/** Positions that share a bucket while they are sorted, on average. */
const PER_BUCKET = 16

/** Places on the ring. A whole cluster in disk mode has millions: 10 bytes each. */
interface Positions {
  readonly high: Uint32Array
  readonly low: Uint32Array
  /** Index into the node list. */
  readonly owner: Uint16Array
}

/** So many positions in a row, found by hashing on from a seed. */
interface Walk {
  readonly seed: U64
  readonly count: number
  readonly owner: number
}

/**
 * The consistent-hash ring of a node list: which nodes hold an object (docs/sheepdog-protocol.md#9.2). A
 * client's choice is only an optimisation, so a stale ring is harmless.
 */
export class Ring {
  readonly #nodes: readonly NodeRecord[]
  readonly #positions: Positions
  readonly #zones: number

  private constructor(nodes: readonly NodeRecord[], positions: Positions, zones: number) {
    this.#nodes = nodes
    this.#positions = positions
    this.#zones = zones
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
    return new Ring(nodes, yield* sorted(yield* hashed(walks)), zones.size)
  }

  /** Indices into the node list of the nodes that hold `oid`, in order of the ring; one per zone, at most `copies`. */
  holders(oid: ObjectId, copies: number): number[] {
    const { owner: owners } = this.#positions
    const wanted = Math.min(copies, this.#zones)
    const chosen: number[] = []
    const zones = new Set<number>()
    const first = this.#firstAtOrAfter(sdHashOid(oid))
    for (let step = 0; step < owners.length && chosen.length < wanted; step++) {
      const owner = owners[(first + step) % owners.length] ?? 0
      const zone = this.#nodes[owner]?.zone ?? 0
      if (zones.has(zone)) continue
      zones.add(zone)
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
  return { seed: nodeSeed(node), count: node.nrVnodes, owner }
}

function diskWalks(node: NodeRecord, owner: number): Walk[] {
  const seed = littleEndian(nodeSeed(node))
  return node.disks.map(({ idHigh, idLow, space }) => ({
    seed: fnv1a(seed, { high: idHigh, low: idLow }),
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
  for (const walk of walks) {
    walkHash(walk.seed, high.subarray(at, at + walk.count), low.subarray(at, at + walk.count))
    owner.fill(walk.owner, at, at + walk.count)
    at += walk.count
    sinceYield += walk.count
    if (sinceYield < SLICE) continue
    sinceYield = 0
    yield
  }
  return positions
}

/** By buckets of the upper bits, which are even, being hashes; then each bucket. */
function* sorted(from: Positions): Generator<undefined, Positions> {
  const count = from.high.length
  const bits = Math.min(24, Math.max(1, Math.ceil(Math.log2(count / PER_BUCKET + 1))))
  const shift = 32 - bits
  const ends = new Uint32Array(2 ** bits)
  for (let at = 0; at < count; at++) {
    const bucket = (from.high[at] ?? 0) >>> shift
    ends[bucket] = (ends[bucket] ?? 0) + 1
    if (at % SLICE === SLICE - 1) yield
  }
  for (let bucket = 1; bucket < ends.length; bucket++) ends[bucket] = (ends[bucket] ?? 0) + (ends[bucket - 1] ?? 0)
  yield
  const to = newPositions(count)
  // from the last on, so that the end of each bucket becomes its start
  for (let at = count - 1; at >= 0; at--) {
    const bucket = (from.high[at] ?? 0) >>> shift
    const place = (ends[bucket] ?? 0) - 1
    ends[bucket] = place
    to.high[place] = from.high[at] ?? 0
    to.low[place] = from.low[at] ?? 0
    to.owner[place] = from.owner[at] ?? 0
    if (at % SLICE === 0) yield
  }
  for (let at = 1; at < count; at++) {
    insert(to, at)
    if (at % SLICE === 0) yield
  }
  return to
}

/** Moves a position down to where it belongs among those before it, which are sorted. */
function insert(positions: Positions, from: number): void {
  const { high, low, owner } = positions
  const moved = { high: high[from] ?? 0, low: low[from] ?? 0, owner: owner[from] ?? 0 }
  let at = from
  for (; at > 0 && !isBefore(positions, at - 1, moved); at--) {
    high[at] = high[at - 1] ?? 0
    low[at] = low[at - 1] ?? 0
    owner[at] = owner[at - 1] ?? 0
  }
  if (at === from) return
  high[at] = moved.high
  low[at] = moved.low
  owner[at] = moved.owner
}
