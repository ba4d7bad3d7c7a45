import type { Patience } from '../../sheep/outage.ts'

/**
 * Which vid holds each object of a volume. Two implementations: the array in the inode, and the B-tree of hyper volumes.
 * Entries are what has been published: an entry changes when its publish has been answered.
 */
export interface VolumeIndex {
  /** Objects the volume has room for. */
  readonly objectCount: number
  /** Objects that are allocated, own and inherited. */
  readonly allocated: number
  /** The vid that holds object `index`; 0: unallocated, reads as zeros. */
  owner(index: number): number | Promise<number>
  /**
   * Publishes that `vid` holds object `index` (0: it is given back). The entry must differ, and the caller keeps others
   * from changing it meanwhile. Resolves when the cluster has it. `patience`: of the request that it is a part of. Errors:
   * stale when the inode is gone.
   */
  publish(index: number, vid: number, patience?: Patience): Promise<void>
  /** The first object at or after `from` that is allocated (data) or not (hole); `objectCount` when there is none. */
  next(from: number, wanted: 'data' | 'hole'): number | Promise<number>
  /** Reads entries again that another host may have changed; an index without it is loaded anew. Errors: stale. */
  reread?(first: number, count: number): Promise<void>
  /** The inode has so many replicas from now on; to an index without it they do not matter. */
  adoptCopies?(copies: number): void
  /** Makes room for more objects, all unallocated. */
  grow(objectCount: number): void
}
