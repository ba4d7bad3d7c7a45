import { SheepfsError } from '../../errors.ts'
import type { Cluster } from '../../sheep/cluster.ts'
import type { Patience } from '../../sheep/outage.ts'
import { mayAppear, resultError } from '../../sheep/result-error.ts'
import {
  BTREE_HEAD_SIZE,
  BTREE_ROOT_OFFSET,
  encodeEntries,
  encodeNode,
  encodeNodeHead,
  entriesLength,
  LEAF_ENTRY_SIZE,
  parseNode,
  parseNodeHead,
  type BtreeNode,
  type LeafRef,
  type NodeHead,
} from '../../wire/btree.ts'
import { viewOf } from '../../wire/field.ts'
import { Inode } from '../../wire/inode.ts'
import type { Response } from '../../wire/message.ts'
import { dataOid, inodeOid, kindOf, oidText, vidOf, type ObjectId } from '../../wire/object-id.ts'
import { createObject, readObject, removeObject, writeObject } from '../../wire/object-ops.ts'
import { Result } from '../../wire/sd-proto.ts'
import { leafInBounds, type Leaf, type Tree } from './tree-shape.ts'
import type { LeafWrite } from './btree-update.ts'
import { countOf, isAscending, type PlaceRange } from './leaf-entries.ts'
import { Missing, type Waits } from '../missing.ts'

/** What the index of a hyper volume needs of a cluster. */
export type ObjectCalls = Waits & Pick<Cluster, 'read' | 'change' | 'withPatience'>

/**
 * Where a write of the root starts: btree_counter, so that one request has all of the tree that is in the inode. A write
 * that starts at the root itself is taken for an array index (docs/sheepdog-protocol.md#5.5), one that starts at 0 would
 * put back an old vdi_size, tag and snap_ctime.
 */
const PREFIX_OFFSET = Inode.btreeCounter.offset
const PREFIX_SIZE = BTREE_ROOT_OFFSET - PREFIX_OFFSET

/**
 * The nodes of one hyper volume's tree in the cluster. Every request may be executed twice, as long as the caller sends no
 * other one for the same node before it is answered.
 */
export class TreeStore {
  readonly #cluster: ObjectCalls
  readonly #vid: number
  /** btree_counter and the unused bytes up to the root. */
  #prefix = new Uint8Array(PREFIX_SIZE)

  constructor(cluster: ObjectCalls, vid: number) {
    this.#cluster = cluster
    this.#vid = vid
  }

  /** Reads the root. Errors: stale when the inode is gone, io when it is no tree. */
  async readTree(patience?: Patience): Promise<Tree> {
    const inode = inodeOid(this.#vid)
    const start = await this.#read(inode, PREFIX_OFFSET, { length: PREFIX_SIZE + BTREE_HEAD_SIZE, patience })
    this.#prefix = start.slice(0, PREFIX_SIZE)
    const head = this.#checked(inode, () => parseNodeHead(start.subarray(PREFIX_SIZE)))
    const root = await this.#readNode(inode, BTREE_ROOT_OFFSET, { head, patience })
    return { vid: this.#vid, root, nextNumber: nextNumber(root, this.#vid, viewOf(this.#prefix).getUint32(0, true)) }
  }

  /** Reads the entries of a leaf above `floor`. Errors: io. */
  async readLeaf(ref: LeafRef, floor: number): Promise<Leaf> {
    const start = await this.#read(ref.oid, 0, { length: BTREE_HEAD_SIZE })
    const head = this.#checked(ref.oid, () => parseNodeHead(start))
    const leaf = await this.#readNode(ref.oid, 0, { head })
    if (leaf.depth !== 1) throw this.#damaged(ref.oid)
    return leafInBounds(leaf.entries, floor, ref.last)
  }

  async createLeaf({ ref, entries }: LeafWrite, patience: Patience): Promise<void> {
    const message = createObject(ref.oid, 0, encodeNode({ depth: 1, entries }))
    await this.#succeed(ref.oid, patience, (own) => this.#cluster.change(message, { patience: own }))
  }

  async writeLeaf({ ref, entries, places, isAppended }: LeafWrite, patience: Patience): Promise<void> {
    if (places === 'all') return this.#write(ref.oid, 0, { bytes: encodeNode({ depth: 1, entries }), patience })
    const { at, bytes } = encodeEntries(entries, places.first, places.last)
    await this.#write(ref.oid, at, { bytes, patience })
    if (!isAppended) return
    await this.#write(ref.oid, 0, { bytes: encodeNodeHead({ depth: 1, count: countOf(entries) }), patience })
  }

  /** Writes the root up to the last of `places`, and the counter. Errors: stale when the inode is gone. */
  async writeRoot({ root, nextNumber }: Tree, places: PlaceRange | 'all', patience?: Patience): Promise<void> {
    viewOf(this.#prefix).setUint32(0, nextNumber, true)
    const node = encodeNode(root)
    const used = places === 'all' ? node.length : BTREE_HEAD_SIZE + LEAF_ENTRY_SIZE * (places.last + 1)
    const payload = new Uint8Array(PREFIX_SIZE + used)
    payload.set(this.#prefix)
    payload.set(node.subarray(0, used), PREFIX_SIZE)
    await this.#write(inodeOid(this.#vid), PREFIX_OFFSET, { bytes: payload, patience })
  }

  /**
   * Removes own data object `index`, which the tree names no more. Sheep does not count references of hyper volumes, so
   * nobody else does it; DISCARD_OBJ would, but it rewrites the tree behind our back.
   */
  async removeData(index: number): Promise<void> {
    const { result } = await this.#cluster.change(removeObject(dataOid(this.#vid, index)))
    if (result !== Result.SUCCESS && result !== Result.NO_OBJ) throw resultError(result, `removal of object ${index}`)
  }

  async #readNode(
    oid: ObjectId,
    offset: number,
    { head, patience }: { readonly head: NodeHead; readonly patience?: Patience | undefined },
  ): Promise<BtreeNode> {
    const length = entriesLength(head)
    const bytes =
      length === 0 ? new Uint8Array(0) : await this.#read(oid, offset + BTREE_HEAD_SIZE, { length, patience })
    const node = this.#checked(oid, () => parseNode(head, bytes))
    const isSound = node.depth === 1 ? isAscending(node.entries) : isInOrder(node.leaves)
    if (!isSound) throw this.#damaged(oid)
    return node
  }

  async #read(
    oid: ObjectId,
    offset: number,
    { length, patience }: { readonly length: number; readonly patience?: Patience | undefined },
  ): Promise<Uint8Array<ArrayBuffer>> {
    const into = new Uint8Array(length)
    const message = readObject(oid, offset, length)
    await this.#succeed(oid, patience, (own) => this.#cluster.read(message, { into, patience: own }))
    return into
  }

  async #write(
    oid: ObjectId,
    offset: number,
    { bytes, patience }: { readonly bytes: Uint8Array; readonly patience: Patience | undefined },
  ): Promise<void> {
    const message = writeObject(oid, offset, bytes)
    await this.#succeed(oid, patience, (own) => this.#cluster.change(message, { patience: own }))
  }

  /** Sends until the node is there. */
  #succeed(
    oid: ObjectId,
    patience: Patience | undefined,
    send: (patience: Patience) => Promise<Response>,
  ): Promise<void> {
    return this.#cluster.withPatience(patience, async (own) => {
      const missing = new Missing(this.#cluster, own)
      for (;;) {
        const { result } = await send(own)
        if (result === Result.SUCCESS) return
        const failure = result === Result.NO_OBJ ? this.#missing(oid) : resultError(result, this.#text(oid))
        if (!mayAppear(result)) throw failure
        await missing.wait(failure)
      }
    })
  }

  #checked<T>(oid: ObjectId, parse: () => T): T {
    try {
      return parse()
    } catch (error) {
      throw this.#damaged(oid, error)
    }
  }

  #missing(oid: ObjectId): SheepfsError {
    return new SheepfsError(kindOf(oid) === 'inode' ? 'stale' : 'io', `${this.#text(oid)} is missing in the cluster`)
  }

  #damaged(oid: ObjectId, cause?: unknown): SheepfsError {
    return new SheepfsError('io', `${this.#text(oid)} is damaged`, { cause })
  }

  #text(oid: ObjectId): string {
    return `node ${oidText(oid)} of the index of a hyper volume`
  }
}

/**
 * Sheepdog's own code has left leaves behind whose last index is 0, so that two may be alike
 * (docs/sheepdog-protocol.md#4.3).
 */
function isInOrder(leaves: readonly LeafRef[]): boolean {
  return leaves.every(({ last }, position) => last >= (leaves[position - 1]?.last ?? 0))
}

/** The counter, unless an update that did not come to its end left it behind the leaves there are. */
function nextNumber(root: BtreeNode, vid: number, counter: number): number {
  if (root.depth === 1) return counter
  return root.leaves.reduce((next, { oid }) => (vidOf(oid) === vid ? Math.max(next, oid.index + 1) : next), counter)
}
