import { randomFillSync } from 'node:crypto'
import { viewOf } from '../../src/wire/field.ts'
import { ClusterFlag, EpochLog, LockState, VDI_STATE_SIZE, VdiState } from '../../src/wire/info-ops.ts'
import { littleEndian, sdHash } from '../../src/wire/fnv.ts'
import { encodeNodeRecord, NODE_RECORD_SIZE, parseAddr, SD_MAX_NODES } from '../../src/wire/node-record.ts'
import { Opcode, Result, Rsp, RspNode } from '../../src/wire/sd-proto.ts'
import { VDI_BITMAP_SIZE } from '../../src/wire/vdi-ops.ts'
import { all, EDGES, on, record, replace, type Lie } from './lie.ts'
import type { Answer } from './rewriting-proxy.ts'

const MAX_LIST = SD_MAX_NODES * NODE_RECORD_SIZE
const DISK_SIZE = 16
/** Answers until a list is made anew: that takes as long as to read it. */
const OTHER_LIST = 4
const ADDR = 24
const PORT = 40
const MASK = 2n ** 64n - 1n
/** Of the prime of FNV, to 2^64. */
const FNV_INVERSE = 0xce965057aff6957bn

/** Lies about the cluster: its nodes, its disks, its state, its VDIs, its locks. */
export const CLUSTER_LIES: readonly Lie[] = [
  ...EDGES.map((count) => ({
    name: `${count} nodes`,
    told: count > 1 ? /sheep \S+: .*(a node record|nodes: expected)/ : undefined,
    spoil: on('GET_NODE_LIST', ({ header }) => {
      RspNode.nrNodes.set(header, count)
      return undefined
    }),
  })),
  ...[0, 1, 55, 81, MAX_LIST - 1, MAX_LIST].map((length) => ({
    name: `a node in ${length} bytes`,
    spoil: on('GET_NODE_LIST', (answer) => {
      replace(answer, Result.SUCCESS, new Uint8Array(length))
    }),
  })),
  {
    name: 'node lists of bytes by chance',
    spoil: nodes(SD_MAX_NODES, () => randomFillSync(Buffer.alloc(NODE_RECORD_SIZE))),
    told: /a ring of \d+ positions/,
  },
  {
    name: '8777 small nodes',
    told: /nodes: expected at most 6144/,
    spoil: on('GET_NODE_LIST', (answer) => {
      RspNode.nrNodes.set(answer.header, 8777)
      replace(answer, Result.SUCCESS, new Uint8Array(8777 * 56))
    }),
  },
  { name: '6144 nodes that are elsewhere', spoil: nodes(SD_MAX_NODES, (place, port) => nodeAt(place, { port })) },
  {
    name: '6144 times the same node',
    spoil: nodes(SD_MAX_NODES, (_, port) => nodeAt(0, { port, nrVnodes: 600, zone: 0 })),
  },
  {
    name: '6144 nodes of 65535 vnodes',
    told: /a ring of/,
    spoil: nodes(SD_MAX_NODES, (i) => nodeAt(i, { nrVnodes: 65_535 })),
  },
  { name: '6144 nodes of 2^22 vnodes', spoil: nodes(SD_MAX_NODES, (i, port) => nodeAt(i, { port, nrVnodes: 682 })) },
  {
    name: 'other nodes in each epoch',
    spoil: all(
      ({ header }, count) => {
        Rsp.epoch.set(header, 1 + (count >> 2))
        return undefined
      },
      nodes(SD_MAX_NODES, () => nodeAt(Math.floor(Math.random() * 2 ** 24), { port: 9, nrVnodes: 10 })),
    ),
  },
  ...[0, 1, 2 ** 31, 2 ** 32 - 1].map((high) => ({
    name: `a disk of ${high} times 4 GiB`,
    told: high > 1 ? /a ring of/ : undefined,
    spoil: disks([{ id: [1, 1], high }]),
  })),
  { name: 'a disk of 2^22 times 4 GiB', spoil: disks([{ id: [1, 1], high: 2 ** 22 - 1 }]) },
  {
    name: 'a disk whose places are all the same',
    spoil: disks([{ id: 'of hash 0', high: 2 ** 22 - 1 }]),
  },
  {
    name: '30 000 disks, each the same',
    spoil: disks(Array.from({ length: 30_000 }, () => ({ id: [7, 7] as const, high: 100 }))),
  },
  ...EDGES.map((count) => ({
    name: `a status of ${count} nodes`,
    spoil: on('STAT_CLUSTER', ({ payload }) => {
      if (payload.length > 0) EpochLog.nrNodes.set(viewOf(payload), count)
      return undefined
    }),
  })),
  { name: 'a status that never fits', told: /an epoch of more than 6144 nodes/, spoil: neverFits('STAT_CLUSTER') },
  {
    name: 'a status of epochs of all sizes',
    spoil: all(
      on('GET_CLUSTER_DEFAULT', () => undefined),
      on('STAT_CLUSTER', (answer) => {
        Rsp.epoch.set(answer.header, 2 ** 32 - 1)
        if (answer.wanted > 1000) replace(answer, Result.SUCCESS, Buffer.alloc(answer.wanted, 0xff))
      }),
    ),
  },
  {
    name: 'a store named by escapes',
    spoil: on('STAT_CLUSTER', ({ payload }) => {
      if (payload.length > 0) payload.set(Buffer.from('\u001b]0;x\u0007\u009b2J\n\r'), EpochLog.store.offset)
      return undefined
    }),
  },
  ...[0, 1, VDI_BITMAP_SIZE - 1, VDI_BITMAP_SIZE].map((length) => ({
    name: `all VDIs, in ${length} bytes`,
    told: length > 1 ? /sheep \S+: more than 65536 VDIs/ : undefined,
    spoil: all(
      on('READ_VDIS', (answer) => {
        replace(answer, Result.SUCCESS, Buffer.alloc(length, 0xff))
      }),
      on('READ_DEL_VDIS', (answer) => {
        replace(answer, Result.SUCCESS, new Uint8Array(0))
      }),
    ),
  })),
  {
    name: '65 528 VDIs',
    spoil: on('READ_VDIS', (answer) => {
      answer.payload.fill(0xff, 0, 8191)
      return undefined
    }),
  },
  { name: 'lists of VDIs that never fit', told: /BUFFER_SMALL/, spoil: neverFits('READ_VDIS') },
  { name: 'locks that never fit', told: /more than 65536 VDIs/, spoil: neverFits('GET_VDI_COPIES') },
  {
    name: 'locks of 65 536 VDIs',
    spoil: on('GET_VDI_COPIES', (answer) => {
      if (answer.wanted < 2 ** 16 * VDI_STATE_SIZE) {
        replace(answer, Result.BUFFER_SMALL, new Uint8Array(0))
        return
      }
      replace(answer, Result.SUCCESS, lockedStates(2 ** 16))
    }),
  },
  {
    name: 'locks that nobody has',
    told: /its lock was given 8 times/,
    spoil: all(
      on('GET_VDI_COPIES', (answer) => {
        replace(answer, Result.SUCCESS, new Uint8Array(0))
      }),
      on('LOCK_VDI', ({ header }) => {
        Rsp.result.set(header, Result.SUCCESS)
        return undefined
      }),
    ),
  },
  ...[1, VDI_STATE_SIZE - 1].map((length) => ({
    name: `${length} bytes of locks`,
    spoil: on('GET_VDI_COPIES', (answer) => {
      replace(answer, Result.SUCCESS, Buffer.alloc(length, 0xff))
    }),
  })),
  {
    name: 'a recovery without end',
    spoil: on('STAT_RECOVERY', (answer) => {
      replace(answer, Result.SUCCESS, Buffer.alloc(24, 1))
    }),
  },
  ...EDGES.slice(2).map((high) => ({
    name: `a store of ${high} times 4 GiB`,
    spoil: on('STAT_SHEEP', ({ header }) => {
      header.setUint32(RspNode.storeSize.offset + 4, high, true)
      return undefined
    }),
  })),
]

interface NodeLie {
  readonly port?: number
  readonly nrVnodes?: number
  readonly zone?: number
}

interface DiskLie {
  readonly id: readonly [low: number, high: number] | 'of hash 0'
  readonly high: number
}

/** On a loopback address of its own, where whoever listens on all of them answers. */
function nodeAt(place: number, { port = 9, nrVnodes = 1, zone = place }: NodeLie): Uint8Array {
  const host = `127.${(place >> 16) & 0xff}.${(place >> 8) & 0xff}.${place & 0xff}`
  return encodeNodeRecord({ addr: parseAddr(host) ?? new Uint8Array(16), port, nrVnodes, zone, space: 0 })
}

function nodes(count: number, node: (place: number, port: number) => Uint8Array): Lie['spoil'] {
  let list: Uint8Array | undefined
  return on('GET_NODE_LIST', (answer, asked) => {
    const [own = 0] = answer.payload.length < NODE_RECORD_SIZE ? [] : [viewOf(answer.payload).getUint16(PORT, true)]
    if (!list || asked % OTHER_LIST === 0) list = Buffer.concat(Array.from({ length: count }, (_, i) => node(i, own)))
    RspNode.nrNodes.set(answer.header, count)
    replace(answer, Result.SUCCESS, list)
  })
}

/** One node with these disks, in a cluster in disk mode. */
function disks(list: readonly DiskLie[]): Lie['spoil'] {
  const entries = (node: Uint8Array): Buffer[] =>
    list.map(({ id, high: space }) => {
      const [low, high] = id === 'of hash 0' ? idOfHash0(node) : id
      return record(DISK_SIZE, [
        [0, low],
        [4, high],
        [12, space],
      ])
    })
  const padding = Buffer.alloc(list.length % 2 === 0 ? 0 : DISK_SIZE)
  return all(
    on('STAT_CLUSTER', ({ payload }) => {
      if (payload.length > 0) EpochLog.flags.set(viewOf(payload), ClusterFlag.DISK_MODE)
      return undefined
    }),
    on('GET_NODE_LIST', (answer) => {
      const node = answer.payload.subarray(0, NODE_RECORD_SIZE)
      replace(answer, Result.SUCCESS, Buffer.concat([node, ...entries(node), padding]))
    }),
  )
}

/** The disk of the node whose places on the ring begin after 0, which 0 follows. */
function idOfHash0(node: Uint8Array): [low: number, high: number] {
  const key = Uint8Array.of(...node.subarray(ADDR, ADDR + 16), node[PORT] ?? 0, node[PORT + 1] ?? 0)
  let hash = 0n
  for (const byte of littleEndian(sdHash(key)).reverse()) hash = ((hash * FNV_INVERSE) & MASK) ^ BigInt(byte)
  return [Number(hash & 0xffff_ffffn), Number(hash >> 32n)]
}

function neverFits(opcode: keyof typeof Opcode): Lie['spoil'] {
  return on(opcode, (answer: Answer) => {
    if (answer.opcode === Opcode.STAT_CLUSTER && answer.wanted <= 48) return undefined
    replace(answer, Result.BUFFER_SMALL, new Uint8Array(0))
  })
}

function lockedStates(count: number): Buffer {
  const states = Buffer.alloc(count * VDI_STATE_SIZE, 0xff)
  const view = viewOf(states)
  for (let at = 0, vid = 1; at < states.length; at += VDI_STATE_SIZE, vid++) {
    VdiState.vid.set(view, vid, at)
    VdiState.lockState.set(view, LockState.LOCKED, at)
  }
  return states
}
