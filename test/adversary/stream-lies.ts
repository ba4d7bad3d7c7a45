import { setTimeout as pause } from 'node:timers/promises'
import { Opcode, Result, Rsp } from '../../src/wire/sd-proto.ts'
import { EDGES, headerOf, on, type Lie } from './lie.ts'
import { encode, type Answer } from './rewriting-proxy.ts'

const TRICKLE_MS = 20
const PIECE = new Uint8Array(65_536)

/** Lies of the stream: lengths, ids, results, and how bytes come. */
export const STREAM_LIES: readonly Lie[] = [
  ...(['GET_CLUSTER_DEFAULT', 'GET_NODE_LIST', 'READ_VDIS', 'READ_OBJ'] as const).flatMap((opcode) =>
    EDGES.slice(2).map((length) => ({
      name: `${opcode}: ${length} bytes follow, and bytes without end`,
      told:
        opcode === 'READ_VDIS' && length === 2 ** 16
          ? undefined
          : /in response to a request for|bytes read|which was never sent|a node record of/,
      spoil: on(opcode, (answer) => endless(answer, length)),
    })),
  ),
  ...([0, 1] as const).map((length) => ({
    name: `READ_OBJ: ${length} bytes`,
    told: /bytes read/,
    spoil: on('READ_OBJ', (answer) => [headerOf(answer, length), PIECE.subarray(0, length)]),
  })),
  {
    name: 'READ_OBJ: a byte more than was wanted',
    told: /in response to a request for/,
    spoil: on('READ_OBJ', (answer) => [headerOf(answer, answer.wanted + 1), answer.payload, PIECE.subarray(0, 1)]),
  },
  ...[...EDGES, 3, 99].map((id) => ({
    name: `a response to request ${id}`,
    told: /which was never sent|no answer|not answer/,
    spoil: on('GET_NODE_LIST', (answer) => {
      Rsp.id.set(answer.header, id)
      return undefined
    }),
  })),
  ...[0x1e, 0x7f, 2 ** 16, 2 ** 31, 2 ** 32 - 1].map((result) => ({
    name: `result ${result}`,
    told: /unknown result/,
    spoil: on('GET_NODE_LIST', (answer) => {
      Rsp.result.set(answer.header, result)
      return undefined
    }),
  })),
  ...[0, 255].map((opcode) => ({
    name: `opcode ${opcode}`,
    told: /a response of opcode/,
    spoil: on('GET_NODE_LIST', (answer) => {
      Rsp.opcode.set(answer.header, opcode)
      return undefined
    }),
  })),
  {
    name: 'everything twice',
    told: /which was never sent/,
    spoil: (answer) => [answerOf(answer), answerOf(answer)],
  },
  {
    name: 'a read a thousand times',
    spoil: on('READ_OBJ', (answer) => Array.from({ length: 1000 }, () => answerOf(answer))),
  },
  {
    name: 'a header byte by byte',
    told: /answer/,
    spoil: on('GET_NODE_LIST', (answer) => trickle(answerOf(answer))),
  },
  {
    name: 'a read byte by byte', // and others between the bytes of one
    told: /answer|which was never sent/,
    spoil: on('READ_OBJ', (answer) => trickle(answerOf(answer))),
  },
  {
    name: 'headers alone',
    told: /answer|closed/,
    spoil: on('READ_OBJ', (answer) => [headerOf(answer, answer.payload.length)]),
  },
  { name: 'noise', told: /sheep/, spoil: on('GET_NODE_LIST', () => [Buffer.alloc(4096, 0xa5)]) },
  {
    name: 'transient results without end',
    told: /STALE_OBJ|AGAIN|answer/,
    spoil: on('READ_OBJ', (answer) => {
      Rsp.result.set(answer.header, Result.AGAIN)
      answer.payload = new Uint8Array(0)
      return undefined
    }),
  },
  ...EDGES.map((epoch) => ({
    name: `every answer in epoch ${epoch}`,
    spoil: ({ header }: Answer) => {
      Rsp.epoch.set(header, epoch)
      return undefined
    },
  })),
  {
    name: 'epochs that run on',
    told: /each of 64 answers is of another epoch/,
    spoil: ({ header }, count) => {
      Rsp.epoch.set(header, 1 + count)
      return undefined
    },
  },
  {
    name: 'epochs that run on, but for node lists',
    spoil: ({ header, opcode }, count) => {
      if (opcode !== Opcode.GET_NODE_LIST) Rsp.epoch.set(header, 1 + count)
      return undefined
    },
  },
]

function answerOf(answer: Answer): Uint8Array {
  Rsp.dataLength.set(answer.header, answer.payload.length)
  return encode(answer)
}

function* endless(answer: Answer, length: number): Generator<Uint8Array> {
  yield headerOf(answer, length)
  for (;;) yield PIECE
}

async function* trickle(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; ; at++) {
    yield bytes.subarray(at % bytes.length, (at % bytes.length) + 1)
    await pause(TRICKLE_MS)
  }
}
