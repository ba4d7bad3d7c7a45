import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FrameReader } from '../../../src/daemon/ipc/frame-reader.ts'
import { isSheepfsError } from '../../../src/errors.ts'

function frame(text: string): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt32LE(text.length)
  return Buffer.concat([header, Buffer.from(text)])
}

const TEXTS = ['a', 'bc', 'd'.repeat(1000), '{}']
const BYTES = Buffer.concat(TEXTS.map(frame))

function read(reader: FrameReader, bytes: Buffer): string[] {
  return Array.from(reader.push(bytes), String)
}

describe('frames of another process', () => {
  test('are the same however they arrive', () => {
    for (const width of [1, 2, 3, 5, 7, 1000, BYTES.length]) {
      const reader = new FrameReader(1000)
      const found: string[] = []
      for (let at = 0; at < BYTES.length; at += width) found.push(...read(reader, BYTES.subarray(at, at + width)))
      assert.deepEqual(found, TEXTS, `${width} at a time`)
    }
  })

  test('are not what arrived, which may be overwritten', () => {
    const reader = new FrameReader(10)
    const bytes = frame('abc')
    const [found] = [...reader.push(bytes)]
    bytes.fill(0)
    assert.equal(String(found), 'abc')
  })

  test('are refused when they are longer than may be, or empty, before any memory is taken for them', () => {
    for (const length of [0, 1001, 2 ** 31, 2 ** 32 - 1]) {
      const header = Buffer.alloc(4)
      header.writeUInt32LE(length)
      const before = process.memoryUsage().arrayBuffers
      assert.throws(
        () => read(new FrameReader(1000), header),
        (error) => isSheepfsError(error, 'protocol') && error.message.includes(`${length} bytes`),
      )
      assert.ok(process.memoryUsage().arrayBuffers - before < 2 ** 20)
    }
  })

  test('take the memory of their length, also when they come a byte at a time', () => {
    const length = 2 ** 20
    const reader = new FrameReader(length)
    const bytes = frame('x'.repeat(length))
    const before = process.memoryUsage()
    for (let at = 0; at < length; at++) assert.deepEqual(read(reader, bytes.subarray(at, at + 1)), [])
    assert.ok(process.memoryUsage().arrayBuffers - before.arrayBuffers < 2 * length)
  })
})
