import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as info from '../../src/wire/info-ops.ts'
import { INODE_HEADER_SIZE, INODE_INDEX_END, TAG_OFFSET } from '../../src/wire/inode.ts'
import type { Message } from '../../src/wire/message.ts'
import { dataOid, inodeOid, ledgerOid } from '../../src/wire/object-id.ts'
import * as object from '../../src/wire/object-ops.ts'
import { Flag, Req } from '../../src/wire/sd-proto.ts'
import { viewOf } from '../../src/wire/field.ts'
import * as vdi from '../../src/wire/vdi-ops.ts'
import { readVectors, type Vector } from '../lamb/vectors.ts'

const DEMO = 0x76d396
const DEMO_WORKING = 0x76d397
const HUGE = 0xc1a482
const SHARED = 0xd87df4
const ERASURE = 0x320a4e
const OLD = 0x92ca54
const MIB = 2 ** 20
const INTERNAL = 0x0a

const demo = { name: Buffer.from('demo') }
const shared = { name: Buffer.from('shared') }
/** As it is sent under a shared lock. */
function shareLocked(message: Message): Message {
  Req.flags.set(message.header, Req.flags.get(message.header) | Flag.TGT)
  return message
}
const ofDemo = { copies: 1, blockSizeShift: 22 }

/** What each captured request means, in the words of the builders. `payload` is the captured one. */
const REQUESTS: Readonly<Record<number, (payload: Uint8Array) => Message>> = {
  1: () => vdi.getVdiInfo(demo),
  2: () => info.getClusterDefault(),
  3: () => info.statCluster(INTERNAL, 1, 0),
  4: () => info.statSheep(INTERNAL),
  5: () => info.getClusterDefault(),
  6: () => info.getNodeList(INTERNAL),
  7: () => info.statCluster(INTERNAL, 1, 0),
  8: () => info.statCluster(INTERNAL, 1, 1),
  9: () => info.statSheep(INTERNAL),
  16: () => object.flushVdi(0x9df2c9),
  17: () => object.flushDelCache(0x9df2c9, 0x0a),
  19: () => vdi.getVdiInfo(demo),
  20: () => vdi.newVdi({ ...demo, size: 64 * MIB }),
  21: () => vdi.newVdi({ ...demo, size: 64 * MIB }),
  23: () => vdi.getVdiInfo(demo),
  26: () => vdi.getVdiInfo({ ...demo, tag: Buffer.from('snap1') }),
  27: () => object.readObject(inodeOid(DEMO), 0, 584),
  28: () => object.readObject(inodeOid(DEMO), 0, INODE_HEADER_SIZE),
  29: () => object.readObject(inodeOid(DEMO), 0, INODE_INDEX_END),
  30: () => object.readObject(inodeOid(DEMO), INODE_HEADER_SIZE, 64),
  31: () => object.readObject(inodeOid(0xabcdef), 0, 16),
  32: () => object.readObject(dataOid(DEMO, 0), 0, 512),
  33: (payload) => object.writeObject(dataOid(DEMO, 0), 0, payload),
  34: (payload) => object.createObject(dataOid(DEMO, 0), 8192, payload),
  35: () => object.writeIndex(DEMO, 0, [DEMO]),
  36: (payload) => object.writeObject(dataOid(DEMO, 0), 12345, payload),
  41: () => object.readObject(dataOid(DEMO, 0), 4 * MIB - 512, 1024),
  42: () => object.readObject(dataOid(DEMO, 0), 0, 0),
  43: (payload) => object.createObject(dataOid(DEMO, 0), 0, payload),
  45: () => object.exist(dataOid(DEMO, 0)),
  46: () => object.exist(dataOid(DEMO, 5)),
  47: (payload) => object.writeObject(inodeOid(DEMO), TAG_OFFSET, payload),
  48: () => vdi.newVdi({ ...demo, ...ofDemo, size: 64 * MIB, baseVid: DEMO, isSnapshot: true }),
  50: () => vdi.getVdiInfo({ ...demo, tag: Buffer.from('snap1') }),
  51: () => vdi.getVdiInfo({ ...demo, snapId: 1 }),
  56: () => object.readObject(inodeOid(DEMO), INODE_INDEX_END, 40),
  60: () => object.writeIndex(DEMO, 9, [0]),
  61: (payload) => object.createObject(dataOid(DEMO_WORKING, 1), 1024, payload, dataOid(DEMO, 1)),
  63: () => object.writeIndex(DEMO_WORKING, 1, [DEMO_WORKING]),
  65: () => object.readObject(ledgerOid(DEMO, 1), 0, 16),
  66: (payload) => object.createObject(dataOid(DEMO_WORKING, 8), 0, payload, dataOid(DEMO, 8)),
  72: () => object.writeIndex(DEMO_WORKING, 3, [0]),
  73: () => object.writeVdiSize(DEMO_WORKING, 128 * MIB),
  74: () => vdi.newVdi({ ...ofDemo, name: Buffer.from('copy'), size: 64 * MIB, baseVid: DEMO }),
  76: () => info.getVdiCopies(INTERNAL, 512),
  78: () => vdi.readVdis(),
  80: () => vdi.lockVdi(demo),
  81: () => vdi.releaseVdi(DEMO_WORKING),
  82: () => object.writeIndex(DEMO_WORKING, 0, Array<number>(16).fill(0)),
  83: () => vdi.deleteVdi(demo),
  86: () => vdi.readDelVdis(),
  88: () => vdi.newVdi({ ...demo, ...ofDemo, size: 64 * MIB, baseVid: DEMO }),
  89: () => vdi.newVdi({ name: Buffer.from('huge'), size: 2 ** 44, storePolicy: 1, blockSizeShift: 22 }),
  90: () => object.readObject(inodeOid(HUGE), INODE_HEADER_SIZE, 16),
  94: () => vdi.newVdi({ name: Buffer.from('small'), size: 64 * MIB, blockSizeShift: 20 }),
  98: () => info.getNodeList(INTERNAL),
  99: () => info.statCluster(INTERNAL, 1, 3),
  100: () => info.statCluster(INTERNAL, 1, 2),
  101: () => vdi.lockVdi(shared),
  104: () => vdi.releaseVdi(SHARED),
  106: () => vdi.lockVdi(shared, vdi.LockType.SHARED),
  108: () => shareLocked(object.readObject(inodeOid(SHARED), 0, 1)),
  109: () => shareLocked(object.readObject(inodeOid(SHARED), 0, INODE_INDEX_END)),
  111: (payload) => shareLocked(object.createObject(dataOid(SHARED, 0), 0, payload)),
  112: () => shareLocked(object.writeIndex(SHARED, 0, [SHARED])),
  113: (payload) => shareLocked(object.writeObject(dataOid(SHARED, 0), 0, payload)),
  116: () => vdi.releaseVdi(SHARED, vdi.LockType.SHARED),
  117: () => vdi.newVdi({ name: Buffer.from('ecvol'), size: 64 * MIB, copies: 3, copyPolicy: 0x11 }),
  119: (payload) => object.createObject(dataOid(ERASURE, 0), 300, payload),
  122: () => info.getVdiCopies(INTERNAL, 8),
  129: () => object.readObject(dataOid(OLD, 0), 4096, 8192),
  135: () => info.getNodeList(0x08),
  136: () => info.getClusterDefault(),
}

for (const vector of readVectors(1, 136)) {
  const build = REQUESTS[vector.seq]
  if (build === undefined) continue
  test(`the request of vector ${vector.name} is built byte for byte`, () => {
    const { header, payload } = build(vector.requestPayload ?? new Uint8Array(0))
    assert.equal(headerHex(header, vector), vector.request.toString('hex'))
    assert.deepEqual(Buffer.from(payload ?? []), vector.requestPayload)
  })
}

/** The header as a connection sends it: with the captured id. */
function headerHex(header: DataView, vector: Vector): string {
  Req.id.set(header, Req.id.get(viewOf(vector.request)))
  return Buffer.from(header.buffer).toString('hex')
}
