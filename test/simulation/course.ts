import type { Address } from '../../src/sheep/address.ts'
import { ClusterFlag } from '../../src/wire/info-ops.ts'
import { Random } from '../sheep/random.ts'
import type { Actor } from './actors/actor.ts'
import * as nodes from './actors/node-actors.ts'
import * as vdis from './actors/vdi-actors.ts'
import * as volumes from './actors/volume-actors.ts'
import type { ClusterPlan } from './simulated-cluster.ts'
import { UNIT } from './contents.ts'

/** One who takes part, and how much he does. */
export interface Part {
  readonly actor: Actor
  readonly seed: number
  readonly steps: number
}

/** What a seed stands for: the cluster, who takes part, and the numbers that everybody draws his luck from. */
export interface Course {
  readonly seed: number
  readonly clusters: readonly ClusterPlan[]
  readonly objectUnits: number
  readonly units: number
  /** Configured for the mount, of the first cluster. */
  readonly addresses: readonly Address[]
  readonly ioTimeoutMs: number
  readonly snapshotPauseMs: number
  readonly removalDelayMs: number
  readonly parts: readonly Part[]
}

/** How often each takes part, of 1; one that may come twice stands here twice. */
const CAST: readonly (readonly [number, Actor])[] = [
  [1, volumes.writer],
  [0.6, volumes.writer],
  [0.2, volumes.reader],
  [0.12, volumes.distantReader],
  [0.08, volumes.truncater],
  [0.1, volumes.grower],
  [0.2, vdis.snapshotter],
  [0.1, vdis.snapshotter],
  [0.04, vdis.rollback],
  [0.15, vdis.rival],
  [0.03, vdis.formatter],
  [0.03, vdis.mover],
  [0.25, nodes.killer],
  [0.25, nodes.cutter],
  [0.2, nodes.strain],
  [0.25, nodes.nodeDeath],
  [0.06, nodes.rackOutage],
  [0.08, nodes.restartOfAll],
  [0.08, nodes.diskChange],
  [0.08, nodes.freeze],
  [0.08, nodes.partition],
  [0.06, nodes.neighbours],
]

/** An erasure code of two data strips and one of parity. */
const TWO_TO_ONE = 0x11

export function courseOf(seed: number): Course {
  const random = new Random(seed)
  const nodeCount = random.pick([1, 2, 3, 3, 3, 4, 5])
  const isCoded = nodeCount >= 3 && random.chance(0.15)
  const copyPolicy = isCoded ? TWO_TO_ONE : 0
  const flags =
    ClusterFlag.AUTO_VNODES |
    (random.chance(0.4) ? ClusterFlag.LOCKING : 0) |
    (random.chance(0.1) ? ClusterFlag.STRICT : 0)
  const objectUnits = random.pick([4, 16])
  const settings = {
    copies: isCoded ? 3 : Math.min(nodeCount, random.pick([1, 2, 2, 2, 3])),
    copyPolicy,
    flags,
    blockSizeShift: Math.log2(objectUnits * UNIT),
  }
  const plan = (name: string, firstPort: number): ClusterPlan => ({ name, firstPort, nodes: nodeCount, settings })
  const addresses = Array.from({ length: nodeCount }, (_, i) => ({ host: '10.0.0.1', port: FIRST_PORT + i }))
  const units = (3 + random.below(6)) * objectUnits
  const ioTimeoutMs = random.chance(0.2) ? random.pick([5000, 15_000]) : Infinity
  const parts = CAST.map(([rate, actor]) => ({
    takesPart: random.chance(rate),
    part: { actor, seed: random.below(2 ** 31), steps: 3 + random.below(8) },
  }))
  const needsOther = parts.some(({ takesPart, part }) => takesPart && part.actor === vdis.mover)
  return {
    seed,
    clusters: [plan('alpha', FIRST_PORT), ...(needsOther ? [plan('beta', FIRST_PORT + 100)] : [])],
    objectUnits,
    units,
    addresses: random.chance(0.3) ? addresses.slice(0, 1) : addresses,
    ioTimeoutMs,
    snapshotPauseMs: random.pick([0, 5, 40]),
    removalDelayMs: random.pick([0, 10, 200, 5000, 40_000]),
    parts: parts.filter(({ takesPart }) => takesPart).map(({ part }) => part),
  }
}

const FIRST_PORT = 7000
