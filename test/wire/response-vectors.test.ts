import assert from 'node:assert/strict'
import { test } from 'node:test'
import { viewOf } from '../../src/wire/field.ts'
import { parseClusterDefault, parseClusterStatus, parseNodeList, parseStoreSpace } from '../../src/wire/info-ops.ts'
import { parseInodeHeader } from '../../src/wire/inode.ts'
import { toResponse, type Response } from '../../src/wire/message.ts'
import { addrText } from '../../src/wire/node-record.ts'
import { restoreTrimmed } from '../../src/wire/object-ops.ts'
import { Req, Result, RspObj, resultName } from '../../src/wire/sd-proto.ts'
import { parseVdiAnswer } from '../../src/wire/vdi-ops.ts'
import { readVectors, type Vector } from '../lamb/vectors.ts'

function vectorOf(seq: number): Vector {
  const [vector] = readVectors(seq, seq)
  assert.ok(vector)
  return vector
}

function responseOf(seq: number): Response {
  const { response, responsePayload } = vectorOf(seq)
  return toResponse(viewOf(response), responsePayload ?? new Uint8Array(0))
}

test('every captured result code has a name', () => {
  for (const { response, name } of readVectors(1, 136)) {
    const { result } = toResponse(viewOf(response), new Uint8Array(0))
    assert.ok(resultName(result), `${name}: ${result}`)
  }
  assert.equal(responseOf(26).result, Result.NO_TAG)
  assert.equal(responseOf(100).result, Result.BUFFER_SMALL)
})

test('lookups and NEW_VDI answer vid, copies and object size', () => {
  assert.deepEqual(parseVdiAnswer(responseOf(20)), { vid: 0x76d396, copies: 1, blockSizeShift: 22 })
  assert.deepEqual(parseVdiAnswer(responseOf(94)), { vid: 0x98998c, copies: 1, blockSizeShift: 20 })
  assert.deepEqual(parseVdiAnswer(responseOf(101)), { vid: 0xd87df4, copies: 2, blockSizeShift: 22 })
})

test('the defaults of a cluster, before and after format', () => {
  assert.deepEqual(parseClusterDefault(responseOf(2)), { copies: 0, copyPolicy: 0, blockSizeShift: 0 })
  assert.deepEqual(parseClusterDefault(responseOf(5)), { copies: 1, copyPolicy: 0, blockSizeShift: 22 })
})

test('the space of a store is 64 bits wide', () => {
  assert.deepEqual(parseStoreSpace(responseOf(9)), { size: 0x130a29d000, free: 0x130a29d000 })
})

test('a node list of three', () => {
  const nodes = parseNodeList(responseOf(98))
  assert.deepEqual(
    nodes.map(({ addr, port, nrVnodes, zone }) => [addrText(addr), port, nrVnodes, zone]),
    [
      ['127.0.0.1', 7600, 128, 0],
      ['127.0.0.1', 7610, 128, 1],
      ['127.0.0.1', 7620, 128, 2],
    ],
  )
  assert.equal(nodes[0]?.space, 0x13073f5000)
})

test('a node list of 0.7, whose records are shorter', () => {
  const [node] = parseNodeList(responseOf(135))
  assert.ok(node)
  assert.deepEqual([addrText(node.addr), node.port, node.nrVnodes, node.zone], ['127.0.0.1', 7550, 64, 0])
  assert.equal(node.space, 0x1327ace000)
})

test('the status of a cluster, with its nodes', () => {
  const { epochs, ...cluster } = parseClusterStatus(responseOf(99).payload, 3) ?? { epochs: [] }
  const formatted = { isRecoveryDisabled: false, copies: 2, copyPolicy: 0, flags: 0x0c, store: 'plain' }
  assert.deepEqual(cluster, { ctime: '6b02eec81abc7f68', ctimeSeconds: 0x6b02eec8, ...formatted })
  assert.deepEqual(
    epochs.map(({ epoch, timeSeconds, nodes }) => [epoch, timeSeconds, nodes.map(({ port }) => port)]),
    [[1, 0x6b02eec8, [7600, 7610, 7620]]],
  )
})

test('a cluster that was never formatted has no status', () => {
  assert.equal(parseClusterStatus(responseOf(3).payload, 0), undefined)
})

test('the inode of a VDI, of its snapshot and of what goes on from there', () => {
  const common = { vdiSize: 64 << 20, copyPolicy: 0, storePolicy: 0, nrCopies: 1 }
  const fixed = { ...common, blockSizeShift: 22, btreeCounter: 0 }
  const cases = [
    {
      seq: 27,
      tag: '',
      createSeconds: 0x6b02ee83,
      createdAt: '6b02ee830e939910',
      isSnapshot: false,
      snapshotMs: 0,
      snapId: 1,
      vdiId: 0x76d396,
      parentVdiId: 0,
    },
    {
      seq: 53,
      tag: 'snap1',
      createSeconds: 0x6b02ee83,
      createdAt: '6b02ee830e939910',
      isSnapshot: true,
      snapshotMs: 1795354243356.29,
      snapId: 1,
      vdiId: 0x76d396,
      parentVdiId: 0,
    },
    {
      seq: 54,
      tag: '',
      createSeconds: 0x6b02ee83,
      createdAt: '6b02ee83153c8dd0',
      isSnapshot: false,
      snapshotMs: 0,
      snapId: 2,
      vdiId: 0x76d397,
      parentVdiId: 0x76d396,
    },
  ]
  for (const { seq, tag, ...own } of cases) {
    const { name, tag: tagBytes, ...rest } = parseInodeHeader(responseOf(seq).payload)
    assert.deepEqual([Buffer.from(name).toString(), Buffer.from(tagBytes).toString()], ['demo', tag])
    assert.deepEqual(rest, { ...fixed, ...own })
  }
})

/** The object behind vectors 128 to 134: "x" in bytes 8192 to 13191, zeros elsewhere. */
function trimmedObject(): Uint8Array {
  return new Uint8Array(40_000).fill(0x78, 8192, 13_192)
}

for (const vector of readVectors(128, 134)) {
  test(`${vector.name}: what the server cut is put back`, () => {
    const request = viewOf(vector.request)
    const offset = request.getUint32(40, true)
    const wanted = Req.dataLength.get(request)
    const expected = trimmedObject().subarray(offset, offset + wanted)
    const header = viewOf(vector.response)
    const cut = RspObj.offset.get(header)
    const received = vector.responsePayload ?? expected.subarray(cut, cut + vector.responsePayloadLength)
    const into = new Uint8Array(wanted).fill(0xee)
    into.set(received)
    restoreTrimmed(into, received.length, header)
    assert.deepEqual(into, expected)
  })
}

test('a cut that does not fit into the range counts as none', () => {
  const header = new DataView(new ArrayBuffer(48))
  RspObj.offset.set(header, 90)
  const into = new Uint8Array(100).fill(0xee)
  into.fill(1, 0, 20)
  restoreTrimmed(into, 20, header)
  assert.deepEqual(into, new Uint8Array(100).fill(1, 0, 20))
})
