import { viewOf } from '../../src/wire/field.ts'
import type { ObjectId } from '../../src/wire/object-id.ts'
import { Opcode, Result, Rsp, SD_HEADER_SIZE } from '../../src/wire/sd-proto.ts'
import type { Answer, Spoilt } from './rewriting-proxy.ts'

/** What a sheep that lies makes of answers. */
export interface Lie {
  readonly name: string
  /** What one of the errors says; undefined: the lie may also do no harm. */
  readonly told?: RegExp | undefined
  readonly spoil: (answer: Answer, count: number) => Spoilt
}

/** The largest numbers that 32 bits have, and where signs and sizes of memory end. */
export const EDGES = [0, 1, 2 ** 16, 2 ** 31, 2 ** 32 - 1] as const

/** Answers to this operation are spoilt; the others pass. */
export function on(opcode: keyof typeof Opcode, spoil: Lie['spoil']): Lie['spoil'] {
  return (answer, count) => (answer.opcode === Opcode[opcode] ? spoil(answer, count) : undefined)
}

/** Reads of the object find these bytes at a place of it, whether it is there or not. */
export function overlaid(oid: ObjectId, at: number, bytes: Uint8Array): Lie['spoil'] {
  return on('READ_OBJ', (answer) => {
    if (answer.oid.high !== oid.high || answer.oid.index !== oid.index) return undefined
    if (answer.payload.length < answer.wanted) replace(answer, Result.SUCCESS, new Uint8Array(answer.wanted))
    const from = Math.max(at, answer.offset)
    const to = Math.min(at + bytes.length, answer.offset + answer.wanted)
    if (from < to) answer.payload.set(bytes.subarray(from - at, to - at), from - answer.offset)
    return undefined
  })
}

export function all(...spoils: readonly Lie['spoil'][]): Lie['spoil'] {
  return (answer, count) => {
    for (const spoil of spoils) {
      const spoilt = spoil(answer, count)
      if (spoilt) return spoilt
    }
    return undefined
  }
}

/** Another result, and other bytes. */
export function replace(answer: Answer, result: number, payload: Uint8Array): undefined {
  Rsp.result.set(answer.header, result)
  answer.payload = payload
}

/** Bytes with numbers of 32 bits, and of 8, 16 and 64, at some places. */
export function record(
  size: number,
  fields: readonly (readonly [at: number, value: number, width?: 8 | 16])[],
): Buffer {
  const bytes = Buffer.alloc(size)
  const view = viewOf(bytes)
  for (const [at, value, width] of fields) {
    if (width === 8) view.setUint8(at, value)
    else if (width === 16) view.setUint16(at, value, true)
    else view.setUint32(at, value >>> 0, true)
  }
  return bytes
}

/** The header alone, saying that so many bytes follow. */
export function headerOf(answer: Answer, length: number): Uint8Array {
  Rsp.dataLength.set(answer.header, length)
  return new Uint8Array(answer.header.buffer, answer.header.byteOffset, SD_HEADER_SIZE).slice()
}
