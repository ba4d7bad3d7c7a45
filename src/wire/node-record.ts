import { isIPv4, isIPv6 } from 'node:net'
import { bytes, u16, u32, u64, viewOf } from './field.ts'

/**
 * struct sd_node as 1.0 sends it, 80 bytes (docs/sheepdog-protocol.md#9.1). 0.7 sends 56: the same without the first 24.
 */
const Node = {
  addr: bytes(24, 16),
  port: u16(40),
  ioAddr: bytes(42, 16),
  ioPort: u16(58),
  nrVnodes: u16(64), // 0: gateway only
  zone: u32(68),
  space: u64(72), // bytes
} as const

export const NODE_RECORD_SIZE = 80
const OLD_NODE_RECORD_SIZE = 56
const DISK_RECORD_SIZE = 32
const NODE_TREE_LINKS = 24

/** Nodes of a cluster. */
export const SD_MAX_NODES = 6144

/** Node list buffer that every sheep can fill without overflowing its heap (docs/sheepdog-protocol.md#1.9). */
export const MAX_NODE_LIST_SIZE = SD_MAX_NODES * NODE_RECORD_SIZE

/** One sheep, as the cluster knows it. */
export interface NodeRecord {
  /** 16 bytes, IPv4 as 12 zero bytes and 4. */
  readonly addr: Uint8Array
  readonly port: number
  readonly nrVnodes: number
  readonly zone: number
  /** Bytes, for auto-vnodes. */
  readonly space: number
  /** Disks, in clusters in disk mode; else empty. */
  readonly disks: readonly Disk[]
}

export interface Disk {
  readonly idLow: number
  readonly idHigh: number
  readonly space: number
}

/**
 * Reads `count` node records. Their size follows from the payload's length: 56 (0.7), 80, or 592 with disks. Throws a
 * RangeError for any other, and for more than there can be.
 */
export function parseNodeRecords(payload: Uint8Array, count: number): NodeRecord[] {
  if (count === 0) return []
  if (count > SD_MAX_NODES) throw new RangeError(`${count} nodes: expected at most ${SD_MAX_NODES}`)
  const size = payload.length / count
  if (
    size !== OLD_NODE_RECORD_SIZE &&
    (size < NODE_RECORD_SIZE || (size - NODE_RECORD_SIZE) % DISK_RECORD_SIZE !== 0)
  ) {
    throw new RangeError(`a node record of ${size} bytes: expected 56, 80 or 592`)
  }
  const lead = size === OLD_NODE_RECORD_SIZE ? NODE_TREE_LINKS : 0
  const view = viewOf(payload)
  return Array.from({ length: count }, (_, i) => parseNodeRecord(view, i * size - lead, size))
}

function parseNodeRecord(view: DataView, at: number, size: number): NodeRecord {
  const disks: Disk[] = []
  for (let offset = NODE_RECORD_SIZE; offset < size; offset += 16) {
    const idLow = view.getUint32(at + offset, true)
    const idHigh = view.getUint32(at + offset + 4, true)
    if (idLow !== 0 || idHigh !== 0) disks.push({ idLow, idHigh, space: u64(offset + 8).get(view, at) })
  }
  return {
    addr: Node.addr.get(view, at).slice(),
    port: Node.port.get(view, at),
    nrVnodes: Node.nrVnodes.get(view, at),
    zone: Node.zone.get(view, at),
    space: Node.space.get(view, at),
    disks,
  }
}

/** Writes one 80-byte record; the io address and the tree links stay zero. */
export function encodeNodeRecord(node: Omit<NodeRecord, 'disks'>): Uint8Array {
  const record = new Uint8Array(NODE_RECORD_SIZE)
  const view = viewOf(record)
  record.set(node.addr, Node.addr.offset)
  Node.port.set(view, node.port)
  Node.nrVnodes.set(view, node.nrVnodes)
  Node.zone.set(view, node.zone)
  Node.space.set(view, node.space)
  return record
}

/** The host of a record: dotted IPv4 (12 zero bytes, then a byte that is not 0), else IPv6 as inet_ntop(3) prints it. */
export function addrText(addr: Uint8Array): string {
  let place = 0
  while (place < 12 && addr[place] === 0) place++
  return place === 12 && addr[12] !== 0 ? addr.subarray(12).join('.') : ipv6Text(addr)
}

function ipv6Text(addr: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => ((addr[2 * i] ?? 0) << 8) | (addr[2 * i + 1] ?? 0))
  let best = { start: 0, length: 1 }
  for (let start = 0; start < 8; start++) {
    let length = 0
    while (words[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  const isMapped = best.length === 5 && words[5] === 0xffff
  if (best.start === 0 && (best.length === 6 || isMapped)) {
    return `${isMapped ? '::ffff' : ':'}:${addr.subarray(12).join('.')}`
  }
  const hex = words.map((word) => word.toString(16))
  if (best.length < 2) return hex.join(':')
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`
}

/** The 16 bytes of a numeric address; undefined when `host` is not one. */
export function parseAddr(host: string): Uint8Array | undefined {
  const addr = new Uint8Array(16)
  if (isIPv4(host)) {
    addr.set(host.split('.').map(Number), 12)
    return addr
  }
  // a scope ("%eth0") has no place in the 16 bytes
  if (!isIPv6(host) || host.includes('%')) return undefined
  const canonical = new URL(`http://[${host}]/`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const words = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after]
  words.forEach((word, i) => {
    addr[2 * i] = parseInt(word, 16) >> 8
    addr[2 * i + 1] = parseInt(word, 16)
  })
  return addr
}
