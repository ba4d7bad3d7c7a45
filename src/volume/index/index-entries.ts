import type { Address } from '../../sheep/address.ts'
import type { Cluster } from '../../sheep/cluster.ts'
import type { Patience } from '../../sheep/outage.ts'
import { readInode, type InodeRead } from '../../sheep/vdi-lookup.ts'
import { Inode, indexEntryOffset } from '../../wire/inode.ts'
import { inodeOid } from '../../wire/object-id.ts'
import { readObject } from '../../wire/object-ops.ts'
import { whileMissing } from '../missing.ts'

/** The inode that an index is in, and how many replicas it has. */
export interface InodePlace {
  readonly vid: number
  readonly copies: number
}

/** Entries as one holder of the inode has them; without an address, as the gateway says. */
export interface EntryReplica {
  readonly address: Address | undefined
  readonly entries: Uint32Array
}

/** Fills `into` with the entries from `first` on. Errors: stale, io. */
export async function readEntries(
  cluster: Cluster,
  { vid, patience }: InodeRead,
  first: number,
  into: Uint32Array<ArrayBuffer>,
): Promise<void> {
  if (into.length === 0) return
  const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
  const read = (own: Patience) => readInode(cluster, { vid, patience: own }, indexEntryOffset(first), bytes)
  await whileMissing(cluster, read, { patience })
}

/** Entries as those holders of the inode have them that can be reached. */
export interface EntryReplicas {
  readonly replicas: readonly EntryReplica[]
  /** No holder is left out. */
  readonly isComplete: boolean
}

/** Reads entries from each replica of the inode that can be reached, or else through the gateway. Errors: stale, io. */
export async function readEntryReplicas(
  cluster: Cluster,
  { vid, copies, patience }: InodePlace & InodeRead,
  first: number,
  count: number,
): Promise<EntryReplicas> {
  const message = readObject(inodeOid(vid), indexEntryOffset(first), 4 * count)
  const readAll = () => cluster.readReplicas(message, copies, { patience })
  let { answers, isComplete } = await readAll()
  if (answers.length === 0) {
    const entries = new Uint32Array(count)
    await readEntries(cluster, { vid, patience }, first, entries)
    // the cluster may only have been away, and replicas that had not taken an update are back with it
    ;({ answers, isComplete } = await readAll())
    if (answers.length === 0) return { replicas: [{ address: undefined, entries }], isComplete: true }
  }
  const replicas = answers.map(({ address, payload }) => {
    const entries = new Uint32Array(count)
    new Uint8Array(entries.buffer).set(payload)
    return { address, entries }
  })
  return { replicas, isComplete }
}

/**
 * Whether the inode has become a snapshot: an update of it that changes nothing would do harm
 * (docs/sheepdog-protocol.md#5.5).
 */
export async function isSnapshotInode(cluster: Cluster, { vid, patience }: InodeRead): Promise<boolean> {
  const snapCtime = new Uint8Array(8)
  const read = (own: Patience) => readInode(cluster, { vid, patience: own }, Inode.snapCtime.offset, snapCtime)
  await whileMissing(cluster, read, { patience })
  return snapCtime.some((byte) => byte !== 0)
}
