import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../../src/sheep/connection.ts'
import { RecoveryInquiry } from '../../src/sheep/recovery-inquiry.ts'
import { SheepfsError } from '../../src/errors.ts'
import { u32, u64, u8, viewOf } from '../../src/wire/field.ts'
import type { Response } from '../../src/wire/message.ts'
import { Result } from '../../src/wire/sd-proto.ts'

const NONE = stateOf(0)
const LISTING = stateOf(1)

interface Answer {
  readonly state: Uint8Array
  readonly epoch?: number
  readonly result?: number
}

/** struct recovery_state. */
function stateOf(inRecovery: number, state = 0, finished = 0, total = 0): Uint8Array {
  const bytes = new Uint8Array(24)
  const view = viewOf(bytes)
  u8(0).set(view, inRecovery)
  u32(4).set(view, state)
  u64(8).set(view, finished)
  u64(16).set(view, total)
  return bytes
}

function fetching(finished: number, total: number): Uint8Array {
  return stateOf(1, 1, finished, total)
}

/** An inquiry, what the watch was told, and who answers when told to. */
function stage() {
  const told: [number, boolean | undefined][] = []
  const questions: { resolve: (response: Response) => void; reject: (error: Error) => void }[] = []
  const connection = {
    exchange: () => new Promise<Response>((resolve, reject) => questions.push({ resolve, reject })),
  } as unknown as Connection
  const inquiry = new RecoveryInquiry({
    known: { protoVer: 10 } as never,
    watch: {
      notice: () => undefined,
      noticeRecovery: (epoch, how) => void told.push([epoch, how?.isAnother]),
    },
  })
  const answer = ({ state, epoch = 1, result = Result.SUCCESS }: Answer): void => {
    questions.shift()?.resolve({ result, epoch, payload: state } as Response)
  }
  const hear = async (given: Answer): Promise<void> => {
    const asked = inquiry.ask(connection)
    answer(given)
    await asked
  }
  return { inquiry, connection, told, questions, answer, hear }
}

for (const [what, before, now, isAnother] of [
  ['the first that is heard', undefined, fetching(1, 9), false],
  ['one that was not there before', NONE, LISTING, true],
  ['one that gets further', fetching(1, 9), fetching(2, 9), false],
  ['one that has its list', LISTING, fetching(0, 9), false],
  ['one that is at its list again', fetching(1, 9), LISTING, true],
  ['one with another list', fetching(1, 9), fetching(2, 8), true],
  ['one that is not as far', fetching(2, 9), fetching(1, 9), true],
] as const) {
  test(`a recovery, ${what}, counts as ${isAnother ? 'another' : 'the same'} one`, async () => {
    const { hear, told } = stage()
    if (before) await hear({ state: before })
    told.length = 0
    await hear({ state: now })
    assert.deepEqual(told, [[1, isAnother]])
  })
}

test('a recovery of another epoch is no other one: the epoch tells', async () => {
  const { hear, told } = stage()
  await hear({ state: NONE, epoch: 1 })
  await hear({ state: LISTING, epoch: 2 })
  assert.deepEqual(told, [[2, false]])
})

test('a sheep that recovers nothing, or does not know the question, tells of nothing', async () => {
  const { hear, told } = stage()
  await hear({ state: NONE })
  await hear({ state: LISTING, result: Result.INVALID_PARMS })
  await hear({ state: new Uint8Array(0) })
  assert.deepEqual(told, [])
})

test('who asks while a question is under way gets the answer to a later one, which all such share', async () => {
  const { inquiry, connection, questions, answer, told } = stage()
  const first = inquiry.ask(connection)
  const later = [inquiry.ask(connection), inquiry.ask(connection)]
  assert.equal(questions.length, 1)
  let isLaterAnswered = false
  void Promise.all(later).then(() => (isLaterAnswered = true))
  answer({ state: NONE })
  await first
  await new Promise(setImmediate)
  assert.equal(isLaterAnswered, false)
  assert.equal(questions.length, 1)
  answer({ state: LISTING })
  await Promise.all(later)
  assert.deepEqual(told, [[1, true]])
  assert.equal(inquiry.underWay, undefined)
})

test('a question whose connection is lost is over', async () => {
  const { inquiry, connection, questions, told } = stage()
  const asked = inquiry.ask(connection)
  questions.shift()?.reject(new SheepfsError('unreachable', 'lost'))
  await asked
  assert.equal(inquiry.underWay, undefined)
  assert.deepEqual(told, [])
})
