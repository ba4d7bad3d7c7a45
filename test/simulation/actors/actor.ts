import type { Random } from '../../sheep/random.ts'
import type { Contents } from '../contents.ts'
import type { Mount } from '../mount.ts'
import type { SimulatedCluster } from '../simulated-cluster.ts'
import type { Stage } from '../stage.ts'

/** What the actors of a course act on. */
export interface Scene {
  readonly stage: Stage
  /** Where the VDI is. */
  readonly cluster: SimulatedCluster
  /** Another one, with a VDI of the same name. */
  readonly other: SimulatedCluster | undefined
  readonly mount: Mount
  /** What the mount must read as. */
  readonly contents: Contents
  readonly vdi: string
  /** Units of an object. */
  readonly objectUnits: number
}

/** Somebody who does something to the scene, so many times, each time what its own random numbers say. */
export interface Actor {
  readonly name: string
  readonly act: (scene: Scene, random: Random, steps: number) => Promise<void>
}

/** The mount has lost its VDI, for a reason that everybody may see: no actor on it goes on. */
export class SceneOver extends Error {}

/** Pauses of an actor: mostly none, sometimes long. */
export async function rest({ stage }: Scene, random: Random, mostMs: number): Promise<void> {
  await stage.agenda.pause(random.next() ** 3 * mostMs)
}
