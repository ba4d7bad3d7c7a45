/**
 * Ids of the nodes that every tree has. They stay as they are: a kernel may hold them over a restart and an upgrade
 * (docs/fuse-kernel-protocol.md#5).
 */
export const FixedId = {
  root: 1,
  cluster: 2,
  node: 3,
  vdi: 4,
  config: 5,
  volume: 6,
  clusterInfo: 16,
  nodeList: 17,
  nodeInfo: 18,
  vdiList: 19,
  vdiMount: 20,
  vdiUnmount: 21,
  pageCache: 22,
  objectCache: 23,
  sheepInfo: 24,
} as const

/** The first id of an attached volume. */
export const FIRST_VOLUME_ID = 1024

/** Gives every attached volume an id that no other ever had. Who keeps `next` lets a successor go on from there. */
export class NodeIds {
  #next: number

  constructor(next = FIRST_VOLUME_ID) {
    this.#next = next
  }

  /** The lowest id that was never given. */
  get next(): number {
    return this.#next
  }

  take(): number {
    return this.#next++
  }

  /** Notes that `id` was given by a predecessor. */
  reserve(id: number): void {
    this.#next = Math.max(this.#next, id + 1)
  }
}
