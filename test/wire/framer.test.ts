import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Framer } from '../../src/wire/framer.ts'
import { Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'

/** Payload lengths around every border of the framer: none, small, its scratch memory, in place. */
const LENGTHS = [0, 1, 47, 48, 4096, 0, 0, 16383, 16384, 16385, 65535, 65536, 65537, 200_000, 3, 0]

function message(id: number, length: number): Buffer {
  const bytes = Buffer.alloc(SD_HEADER_SIZE + length, id + 1)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  Rsp.id.set(view, id)
  Rsp.dataLength.set(view, length)
  return bytes
}

/** Feeds the stream in pieces of the sizes that `pieceSize` gives, and collects the messages that come out. */
function cut(stream: Uint8Array, pieceSize: () => number): { messages: Buffer[]; buffers: number; isIdle: boolean } {
  const messages: Buffer[] = []
  let buffers = 0
  const framer = new Framer({
    payloadLength: (header) => Rsp.dataLength.get(header),
    payloadBuffer: (_, length) => {
      buffers++
      return new Uint8Array(length)
    },
    frame: (header, payload) => {
      const head = new Uint8Array(header.buffer, header.byteOffset, SD_HEADER_SIZE)
      messages.push(Buffer.concat([head, payload]))
    },
  })
  for (let at = 0; at < stream.length;) {
    const buffer = framer.buffer()
    assert.ok(buffer.length > 0)
    const piece = stream.subarray(at, at + Math.min(buffer.length, pieceSize()))
    buffer.set(piece)
    framer.advance(piece.length)
    at += piece.length
  }
  return { messages, buffers, isIdle: framer.isIdle }
}

const sent = LENGTHS.map((length, id) => message(id, length))
const stream = Buffer.concat(sent)

const CHUNKINGS: Readonly<Record<string, () => number>> = {
  'one byte at a time': () => 1,
  '47 bytes at a time': () => 47,
  'headers alone': () => SD_HEADER_SIZE,
  'pieces of 1448 bytes': () => 1448,
  'whole, as much as is taken at once': () => stream.length,
}

for (const [name, pieceSize] of Object.entries(CHUNKINGS)) {
  test(`messages come out as they were sent: ${name}`, () => {
    const { messages, buffers, isIdle } = cut(stream, pieceSize)
    assert.deepEqual(messages, sent)
    assert.equal(buffers, LENGTHS.filter((length) => length > 0).length)
    assert.ok(isIdle)
  })
}

test('messages come out as they were sent: pieces of any size', () => {
  let seed = 1
  for (let round = 0; round < 50; round++) {
    const { messages } = cut(stream, () => {
      seed = (seed * 48271) % 0x7fff_ffff
      return 1 + (seed % (round % 2 === 0 ? 100 : 50_000))
    })
    assert.deepEqual(messages, sent)
  }
})

test('a stream that ends within a message is not idle', () => {
  for (const end of [1, SD_HEADER_SIZE, SD_HEADER_SIZE + 1]) {
    assert.equal(cut(message(1, 100).subarray(0, end), () => 7).isIdle, false)
  }
})

test('the rest of a large payload is received where it belongs', () => {
  const own = new Uint8Array(100_000)
  const framer = new Framer({
    payloadLength: (header) => Rsp.dataLength.get(header),
    payloadBuffer: () => own,
    frame: () => undefined,
  })
  framer.buffer().set(message(1, own.length).subarray(0, SD_HEADER_SIZE + 10))
  framer.advance(SD_HEADER_SIZE + 10)
  const next = framer.buffer()
  assert.equal(next.buffer, own.buffer)
  assert.deepEqual([next.byteOffset, next.length], [10, own.length - 10])
})

test('a header that cannot be ends the stream by an error', () => {
  const framer = new Framer({
    payloadLength: () => {
      throw new RangeError('impossible')
    },
    payloadBuffer: (_, length) => new Uint8Array(length),
    frame: () => undefined,
  })
  framer.buffer().set(message(1, 0))
  assert.throws(() => {
    framer.advance(SD_HEADER_SIZE)
  }, RangeError)
})
