import {
  BTREE_HEAD_SIZE,
  BTREE_ROOT_OFFSET,
  INDEX_MAGIC,
  MAX_INDIRECT_ENTRIES,
  MAX_LEAF_ENTRIES,
} from '../../src/wire/btree.ts'
import { vidHash } from '../../src/wire/fnv.ts'
import { Inode, INODE_HEADER_SIZE, NAME_OFFSET } from '../../src/wire/inode.ts'
import { btreeOid, dataOid, inodeOid, MAX_VID, type ObjectId } from '../../src/wire/object-id.ts'
import { Opcode, Result, RspVdi } from '../../src/wire/sd-proto.ts'
import { all, EDGES, on, overlaid, record, type Lie } from './lie.ts'
import { ARRAY, HYPER } from './lied-to-worker.ts'

const ARRAY_VID = vidHash(Buffer.from(ARRAY))
const HYPER_VID = vidHash(Buffer.from(HYPER))
const FULL_LEAVES = 40

/** Lies about VDIs: which there are, what they are, and their indexes. */
export const VDI_LIES: readonly Lie[] = [
  ...[...EDGES, MAX_VID].map((vid) => ({
    name: `the vid ${vid}`,
    told: vid === 0 || vid > MAX_VID ? /sheep \S+: VDI "array" has the vid/ : /missing|damaged|not locked|is locked/,
    spoil: all(
      ...(['GET_VDI_INFO', 'LOCK_VDI'] as const).map((opcode) =>
        on(opcode, ({ header }) => {
          RspVdi.vdiId.set(header, vid)
          return undefined
        }),
      ),
    ),
  })),
  ...EDGES.slice(1).map((vid) =>
    inode(`an inode that says it is ${vid}`, [[Inode.vdiId.offset, vid]], /says that it is/),
  ),
  ...EDGES.map((high) =>
    inode(
      `a size of ${high} times 4 GiB`,
      [[Inode.vdiSize.offset + 4, high]],
      high > 2 ** 10 ? /more than its index/ : undefined,
    ),
  ),
  ...[1, 8, 9, 22, 31, 32, 64, 255].map((shift) =>
    inode(
      `objects of 2^${shift} bytes`,
      [[Inode.blockSizeShift.offset, shift, 8]],
      shift < 9 || shift > 31 ? /block_size_shift/ : undefined,
    ),
  ),
  ...[0, 255].map((copies) => inode(`${copies} copies`, [[Inode.nrCopies.offset, copies, 8]])),
  ...[0x11, 0xff].map((policy) => inode(`the policy ${policy}`, [[Inode.copyPolicy.offset, policy, 8]], /zones/)),
  ...[2, 255].map((policy) => inode(`the index ${policy}`, [[Inode.storePolicy.offset, policy, 8]], /store_policy/)),
  inode('an array that is a tree', [[Inode.storePolicy.offset, 1, 8]]),
  inode('a VDI that is always a snapshot', [[Inode.snapCtime.offset, 1]], /was another one 8 times/),
  {
    name: 'a VDI that grows beyond all measure while it is attached',
    told: /more than its index/,
    spoil: onceRead(ARRAY_VID, overlaid(inodeOid(ARRAY_VID), Inode.vdiSize.offset, Buffer.alloc(8, 0x7f))),
  },
  {
    name: 'names without end, of escapes',
    spoil: overlaid(inodeOid(ARRAY_VID), NAME_OFFSET, Buffer.alloc(512, '\u001b[2J\u009b\n')),
  },
  ...EDGES.slice(1).map((vid) => ({
    name: `an index of ${vid}`,
    spoil: overlaid(
      inodeOid(ARRAY_VID),
      INODE_HEADER_SIZE,
      record(
        4 * 64,
        Array.from({ length: 64 }, (_, i) => [4 * i, vid] as const),
      ),
    ),
  })),
  ...[0, 1, 2, 3, 0xffff].flatMap((depth) =>
    [...EDGES, MAX_LEAF_ENTRIES, MAX_LEAF_ENTRIES + 1, MAX_INDIRECT_ENTRIES].map((count) => ({
      name: `a tree of depth ${depth} with ${count} entries`,
      spoil: root(node(depth, count)),
    })),
  ),
  tree('a tree that leads back to its root', [inodeOid(HYPER_VID)], /is no node of a B-tree|is damaged/),
  tree('a tree of data', [dataOid(HYPER_VID, 0)], /is no node of a B-tree|is damaged/),
  {
    ...tree('a leaf that leads to itself', [btreeOid(HYPER_VID, 1)], /damaged/),
    spoil: all(
      root(node(2, 1, [btreeOid(HYPER_VID, 1)])),
      overlaid(btreeOid(HYPER_VID, 1), 0, node(2, 1, [btreeOid(HYPER_VID, 1)])),
    ),
  },
  {
    name: 'a tree of full leaves, all the same',
    spoil: all(
      root(
        node(
          2,
          FULL_LEAVES,
          Array.from({ length: FULL_LEAVES }, () => btreeOid(HYPER_VID, 1)),
        ),
      ),
      overlaid(btreeOid(HYPER_VID, 1), 0, fullLeaf()),
    ),
  },
  {
    name: 'a tree of 65 536 leaves',
    spoil: root(
      node(
        2,
        65_536,
        Array.from({ length: 65_536 }, (_, i) => btreeOid(HYPER_VID, i)),
      ),
    ),
  },
  {
    name: 'a leaf in descending order',
    told: /damaged/,
    spoil: root(
      record(BTREE_HEAD_SIZE + 32, [
        [0, INDEX_MAGIC, 16],
        [2, 1, 16],
        [4, 4],
        ...[9, 7, 5, 3].map((index, i) => [8 + 8 * i, index] as const),
      ]),
    ),
  },
  {
    name: 'a counter at its end',
    spoil: overlaid(inodeOid(HYPER_VID), Inode.btreeCounter.offset, Buffer.alloc(4, 0xff)),
  },
  {
    name: 'objects that are all missing',
    told: /missing/,
    spoil: (answer) => {
      if (answer.opcode !== Opcode.READ_OBJ || answer.oid.high !== ARRAY_VID) return undefined
      answer.header.setUint32(16, Result.NO_OBJ, true)
      answer.payload = new Uint8Array(0)
      return undefined
    },
  },
]

function inode(
  name: string,
  fields: readonly (readonly [at: number, value: number, width?: 8 | 16])[],
  told?: RegExp,
): Lie {
  const [[at, value, width = 32] = [0, 0]] = fields
  const bytes = record(width / 8, [[0, value, width === 32 ? undefined : width] as never])
  return { name, ...(told && { told }), spoil: overlaid(inodeOid(ARRAY_VID), at, bytes) }
}

/** From the first read of its data on. */
function onceRead(vid: number, spoil: Lie['spoil']): Lie['spoil'] {
  let isRead = false
  return (answer, count) => {
    isRead ||= answer.opcode === Opcode.READ_OBJ && answer.oid.high === vid
    return isRead ? spoil(answer, count) : undefined
  }
}

function root(bytes: Uint8Array): Lie['spoil'] {
  return overlaid(inodeOid(HYPER_VID), BTREE_ROOT_OFFSET, bytes)
}

function tree(name: string, leaves: readonly ObjectId[], told: RegExp): Lie {
  return { name, told, spoil: root(node(2, leaves.length, leaves)) }
}

/** A node that says that it has so many entries. */
function node(depth: number, count: number, leaves: readonly ObjectId[] = []): Buffer {
  const fields = leaves.flatMap(({ high, index }, i) => {
    const at = BTREE_HEAD_SIZE + 16 * i
    return [
      [at, 1000 * i],
      [at + 8, index],
      [at + 12, high],
    ] as const
  })
  return record(BTREE_HEAD_SIZE + 16 * leaves.length, [[0, INDEX_MAGIC, 16], [2, depth, 16], [4, count], ...fields])
}

function fullLeaf(): Buffer {
  const leaf = record(BTREE_HEAD_SIZE + 8 * MAX_LEAF_ENTRIES, [
    [0, INDEX_MAGIC, 16],
    [2, 1, 16],
    [4, MAX_LEAF_ENTRIES],
  ])
  for (let i = 0; i < MAX_LEAF_ENTRIES; i++) leaf.writeUInt32LE(i, BTREE_HEAD_SIZE + 8 * i)
  return leaf
}
